// Checkpoints in a folder of this machine, read with Node: the same interface that a browser has over files
// that a user picked. Files stay open while they are read.
import type { FileHandle } from "node:fs/promises";
import { open, readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fail } from "../base/errors.ts";
import type { CheckpointSource, Prefix, ReadOptions } from "../weights/source.ts";

interface OpenFile {
  readonly handle: FileHandle;
  readonly size: number;
  readonly version: string;
}

/** A source over a folder. Its id is the folder's name: where it lies on this machine is nobody's business. */
export async function openDiskSource(folder: string): Promise<CheckpointSource> {
  const path = resolve(folder);
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new RangeError(`There is no folder ${path}.`);
  return new DiskSource(path, `files:${basename(path)}`, "", new Map());
}

/** Every file below a folder, by path inside it, at most two levels deep. */
export async function listFiles(folder: string, depth = 2): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const lists = entries.map(async (entry) => {
    if (!entry.isDirectory()) return [entry.name];
    const inside = depth > 0 ? await listFiles(join(folder, entry.name), depth - 1) : [];
    return inside.map((name) => `${entry.name}/${name}`);
  });
  return (await Promise.all(lists)).flat().toSorted();
}

class DiskSource implements CheckpointSource {
  readonly id: string;
  readonly revision = "";
  readonly #root: string;
  readonly #folder: string;
  readonly #files: Map<string, Promise<OpenFile>>;

  constructor(root: string, id: string, folder: string, files: Map<string, Promise<OpenFile>>) {
    this.#root = root;
    this.id = id;
    this.#folder = folder;
    this.#files = files;
  }

  async readText(
    file: string,
    { maxBytes, ...options }: ReadOptions & { readonly maxBytes: number },
  ): Promise<string> {
    const { size } = await this.#open(file);
    if (size > maxBytes) {
      throw unreadable("too-large", file, `has ${size} bytes, at most ${maxBytes} are read`);
    }
    return new TextDecoder().decode(await this.readRange(file, 0, size, options));
  }

  async readPrefix(file: string, maxBytes: number, options?: ReadOptions): Promise<Prefix> {
    const { size } = await this.#open(file);
    return { bytes: await this.readRange(file, 0, Math.min(size, maxBytes), options), size };
  }

  async readRange(
    file: string,
    start: number,
    end: number,
    { signal, onBytes }: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    signal?.throwIfAborted();
    const { handle, size } = await this.#open(file);
    if (end > size) {
      throw unreadable("truncated", file, `has ${size} bytes, expected at least ${end}`);
    }
    const bytes = new Uint8Array(end - start);
    for (let filled = 0; filled < bytes.length;) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) throw unreadable("changed", file, "became shorter while it was read");
      filled += bytesRead;
    }
    onBytes?.(bytes.length);
    return bytes;
  }

  async size(file: string): Promise<number> {
    return (await this.#open(file)).size;
  }

  async has(file: string): Promise<boolean> {
    return stat(this.#path(file)).then(
      (info) => info.isFile(),
      () => false,
    );
  }

  versionOf(file: string): string {
    return this.#versions.get(this.#path(file)) ?? "";
  }

  async published(): Promise<undefined> {}

  at(folder: string): CheckpointSource {
    return new DiskSource(
      this.#root,
      `${this.id}/${folder}`,
      `${this.#folder}${folder}/`,
      this.#files,
    );
  }

  close(): void {
    for (const file of this.#files.values()) {
      void file.then(
        ({ handle }) => handle.close(),
        () => undefined,
      );
    }
    this.#files.clear();
  }

  readonly #versions = new Map<string, string>();

  async #open(file: string): Promise<OpenFile> {
    const path = this.#path(file);
    const opened = this.#files.get(path) ?? openFile(path, file);
    this.#files.set(path, opened);
    const { handle, size, version } = await opened;
    this.#versions.set(path, version);
    return { handle, size, version };
  }

  #path(file: string): string {
    return join(this.#root, this.#folder, file);
  }
}

async function openFile(path: string, file: string): Promise<OpenFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (cause) {
    throw unreadable("not-found", file, "is not in the folder, or cannot be opened", cause);
  }
  const info = await handle.stat();
  return { handle, size: info.size, version: `${info.size}-${info.mtimeMs}` };
}

function unreadable(reason: string, file: string, seen: string, cause?: unknown): Error {
  const details = { reason, url: file, status: 0, file };
  return fail("download-failed", `The file "${file}" ${seen}.`, details, cause);
}
