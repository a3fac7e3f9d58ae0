// Checkpoints on servers: a folder on any static host, or a repository of a hub, pinned to the commit that
// the hub names in its first answer so that a push in the middle of a download changes nothing.
import { downloadFailed, isAbsence, reasonOf, withoutSecrets } from "./download-error.ts";
import type { HttpContext, HttpOptions } from "./fetch-range.ts";
import { httpContext } from "./fetch-range.ts";
import { HttpFile } from "./http-file.ts";
import { SNIFF_BYTES } from "./sniff.ts";
import type { CheckpointSource, Prefix, ReadOptions } from "./source.ts";

const HUGGING_FACE = "https://huggingface.co";
const COMMIT = /^[0-9a-f]{40}$/;

/** The files of `owner/name` at a revision: `{hubUrl}/{owner}/{name}/resolve/{revision}/{file}`. */
export function createHubSource(
  { id, revision }: { readonly id: string; readonly revision: string },
  hubUrl: string,
  options: HttpOptions,
): CheckpointSource {
  const hub = hubUrl.replace(/\/+$/, "");
  const host = hub === HUGGING_FACE ? "" : `${withoutSecrets(hub).replace(/\/$/, "")}/`;
  const address = new HubAddress(`${hub}/${id}/resolve/`, revision);
  const context = httpContext(options);
  return new HttpSource(`${host}${id}@${revision}`, address, context, "", new Map());
}

/** The files below a URL. A query of the URL is sent with every file. */
export function createUrlSource(url: string, options: HttpOptions): CheckpointSource {
  const id = withoutSecrets(url).replace(/\/+$/, "");
  return new HttpSource(id, new FolderAddress(url), httpContext(options), "", new Map());
}

/** Where a file is, and what is learned about the folder from answers. */
interface Address {
  readonly revision: string;
  urlOf(path: string): string;
  learn(headers: Headers): void;
}

class HubAddress implements Address {
  readonly #base: string;
  #revision: string;

  constructor(base: string, revision: string) {
    this.#base = base;
    this.#revision = revision;
  }

  get revision(): string {
    return this.#revision;
  }

  // A branch such as refs/pr/1 is one segment.
  urlOf(path: string): string {
    return `${this.#base}${encodeURIComponent(this.#revision)}/${encodePath(path)}`;
  }

  learn(headers: Headers): void {
    const commit = headers.get("x-repo-commit") ?? "";
    if (COMMIT.test(commit) && !COMMIT.test(this.#revision)) this.#revision = commit;
  }
}

class FolderAddress implements Address {
  readonly revision = "";
  readonly #folder: string;
  readonly #query: string;

  constructor(url: string) {
    const { origin, protocol, host, pathname, search } = new URL(url);
    const root = origin === "null" ? `${protocol}//${host}` : origin;
    this.#folder = `${root}${pathname.replace(/\/+$/, "")}/`;
    this.#query = search;
  }

  urlOf(path: string): string {
    return `${this.#folder}${encodePath(path)}${this.#query}`;
  }

  learn(): void {}
}

class HttpSource implements CheckpointSource {
  readonly id: string;
  readonly #address: Address;
  readonly #context: HttpContext;
  readonly #folder: string;
  readonly #files: Map<string, HttpFile>;

  constructor(
    id: string,
    address: Address,
    context: HttpContext,
    folder: string,
    files: Map<string, HttpFile>,
  ) {
    this.id = id;
    this.#address = address;
    this.#context = context;
    this.#folder = folder;
    this.#files = files;
  }

  get revision(): string {
    return this.#address.revision;
  }

  async readText(
    file: string,
    { maxBytes, ...options }: ReadOptions & { readonly maxBytes: number },
  ): Promise<string> {
    const { bytes, size } = await this.#file(file).readPrefix(maxBytes + 1, options);
    this.#forget(file);
    if (bytes.length <= maxBytes) return new TextDecoder().decode(bytes);
    throw downloadFailed({
      reason: "too-large",
      url: this.#file(file).url,
      status: 200,
      seen: `The file has ${size ?? `more than ${maxBytes}`} bytes, at most ${maxBytes} are read`,
    });
  }

  readPrefix(file: string, maxBytes: number, options?: ReadOptions): Promise<Prefix> {
    return this.#file(file).readPrefix(maxBytes, options);
  }

  readRange(
    file: string,
    start: number,
    end: number,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#file(file).readRange(start, end, options);
  }

  async size(file: string, options?: ReadOptions): Promise<number | undefined> {
    const remote = this.#file(file);
    return remote.size ?? (await remote.readPrefix(SNIFF_BYTES, options)).size;
  }

  async has(file: string, options?: ReadOptions): Promise<boolean> {
    try {
      await this.readPrefix(file, SNIFF_BYTES, options);
      return true;
    } catch (error) {
      // Some object stores answer 403 for what does not exist.
      if (isAbsence(error) || reasonOf(error) === "gated") return false;
      throw error;
    }
  }

  versionOf(file: string): string {
    return this.#files.get(this.#folder + file)?.version ?? "";
  }

  at(folder: string): CheckpointSource {
    const id = `${this.id}/${folder}`;
    const inside = `${this.#folder}${folder}/`;
    return new HttpSource(id, this.#address, this.#context, inside, this.#files);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
  }

  #file(file: string): HttpFile {
    const path = this.#folder + file;
    const known = this.#files.get(path);
    if (known) return known;
    const learn = (headers: Headers): void => this.#address.learn(headers);
    const remote = new HttpFile(this.#address.urlOf(path), this.#context, learn);
    this.#files.set(path, remote);
    return remote;
  }

  // A text is read once; what a server that ignores Range sent of it need not be kept.
  #forget(file: string): void {
    this.#file(file).close();
  }
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
