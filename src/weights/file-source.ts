// Checkpoints on the user's own disk: files that were picked or dropped, or a folder handle.
import { fail } from "../base/errors.ts";
import { fingerprint } from "./hash.ts";
import type { CheckpointSource, Prefix, ReadOptions } from "./source.ts";

/** Files by path inside the folder, and the folder's name. */
export interface LocalFolder {
  readonly name: string;
  readonly files: ReadonlyMap<string, File>;
}

/** A picked folder may be someone's whole disk. */
const MAX_FILES = 2_000;
const MAX_DEPTH = 4;

/** A source over local files. Nothing leaves the device. */
export function createFileSource(folder: LocalFolder): CheckpointSource {
  return new FileSource(folder.files, describe(folder), "");
}

/**
 * Files as an `<input>` or a drop gives them. With `webkitdirectory` their paths begin with the picked
 * folder's name, which is dropped.
 *
 * @throws TypeError when two files have the same path: then the folder has to be picked
 */
export async function collectFiles(list: readonly File[]): Promise<LocalFolder> {
  const paths = list.map((file) => file.webkitRelativePath || file.name);
  const root = commonRoot(paths);
  const files = new Map<string, File>();
  list.forEach((file, index) => {
    const path = (paths[index] ?? file.name).slice(root.length);
    if (files.has(path)) {
      throw new TypeError(`Two files are called "${path}". Pick the folder in place of its files.`);
    }
    files.set(path, file);
  });
  return { name: root.replace(/\/$/, ""), files };
}

/** Every file below a directory handle. @throws ModelError checkpoint-invalid when there are too many */
export async function collectDirectory(handle: FileSystemDirectoryHandle): Promise<LocalFolder> {
  const files = new Map<string, File>();
  await collect(handle, "", MAX_DEPTH, files);
  return { name: handle.name, files };
}

async function collect(
  handle: FileSystemDirectoryHandle,
  prefix: string,
  depth: number,
  files: Map<string, File>,
): Promise<void> {
  for await (const [name, entry] of handle.entries()) {
    if (files.size >= MAX_FILES) {
      throw fail(
        "checkpoint-invalid",
        `The folder "${handle.name}" holds more than ${MAX_FILES} files; pick the folder of one checkpoint.`,
      );
    }
    if (isFile(entry)) files.set(prefix + name, await entry.getFile());
    else if (isDirectory(entry) && depth > 0 && !name.startsWith(".")) {
      await collect(entry, `${prefix}${name}/`, depth - 1, files);
    }
  }
}

function isFile(entry: FileSystemHandle): entry is FileSystemFileHandle {
  return entry.kind === "file";
}

function isDirectory(entry: FileSystemHandle): entry is FileSystemDirectoryHandle {
  return entry.kind === "directory";
}

class FileSource implements CheckpointSource {
  readonly id: string;
  readonly revision = "";
  readonly #files: ReadonlyMap<string, File>;
  readonly #folder: string;

  constructor(files: ReadonlyMap<string, File>, id: string, folder: string) {
    this.#files = files;
    this.id = id;
    this.#folder = folder;
  }

  async readText(
    path: string,
    { maxBytes, signal }: ReadOptions & { readonly maxBytes: number },
  ): Promise<string> {
    const file = this.#file(path);
    if (file.size > maxBytes) {
      throw unreadable("too-large", path, `has ${file.size} bytes, at most ${maxBytes} are read`);
    }
    return new TextDecoder().decode(await read(path, file, signal));
  }

  async readPrefix(path: string, maxBytes: number, options?: ReadOptions): Promise<Prefix> {
    const file = this.#file(path);
    const bytes = await read(path, file.slice(0, maxBytes), options?.signal);
    return { bytes, size: file.size };
  }

  async readRange(
    path: string,
    start: number,
    end: number,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const file = this.#file(path);
    const bytes = await read(path, file.slice(start, end), options?.signal);
    if (bytes.length !== end - start) {
      throw unreadable("truncated", path, `has ${file.size} bytes, expected at least ${end}`);
    }
    options?.onBytes?.(bytes.length);
    return bytes;
  }

  async size(path: string): Promise<number> {
    return this.#file(path).size;
  }

  async has(path: string): Promise<boolean> {
    return this.#files.has(this.#folder + path);
  }

  versionOf(path: string): string {
    const file = this.#files.get(this.#folder + path);
    return file ? `${file.size}-${file.lastModified}` : "";
  }

  async published(): Promise<undefined> {}

  at(folder: string): CheckpointSource {
    return new FileSource(this.#files, `${this.id}/${folder}`, `${this.#folder}${folder}/`);
  }

  close(): void {}

  #file(path: string): File {
    const file = this.#files.get(this.#folder + path);
    if (file) return file;
    throw unreadable("not-found", path, "is not among the files that were picked");
  }
}

async function read(
  path: string,
  blob: Blob,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  signal?.throwIfAborted();
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    throw unreadable("changed", path, "cannot be read; it was changed, moved or locked", error);
  }
}

function unreadable(reason: string, path: string, seen: string, cause?: unknown): Error {
  return fail(
    "download-failed",
    `The file "${path}" ${seen}. Pick the folder again.`,
    { reason, url: path, status: 0, file: path },
    cause,
  );
}

// "model/config.json", "model/vae/config.json" -> "model/"; "" when the paths do not share a folder.
function commonRoot(paths: readonly string[]): string {
  const first = paths[0] ?? "";
  const root = first.slice(0, first.indexOf("/") + 1);
  return paths.every((path) => path.startsWith(root)) ? root : "";
}

// Two folders with the same names, sizes and dates are taken for the same checkpoint.
function describe({ name, files }: LocalFolder): string {
  const facts = [...files].map(([path, file]) => `${path}:${file.size}:${file.lastModified}`);
  return `files:${name}#${fingerprint(facts.toSorted().join("\n"))}`;
}
