// Checkpoints on servers: a folder on any static host, or a repository of a hub, pinned to the commit that
// the hub names in its first answer so that a push in the middle of a download changes nothing.
import { downloadFailed, isAbsence, reasonOf, withoutSecrets } from "./download-error.ts";
import type { HttpContext, HttpOptions } from "./fetch-range.ts";
import { fingerprint } from "./hash.ts";
import { httpContext } from "./fetch-range.ts";
import { HttpFile } from "./http-file.ts";
import { HubListing } from "./hub-listing.ts";
import { SNIFF_BYTES } from "./sniff.ts";
import type { CheckpointSource, Prefix, PublishedFile, ReadOptions } from "./source.ts";

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
  const trees = `${hub}/api/models/${id}/tree/`;
  const listing = new HubListing(
    (at, folder) => `${trees}${encodeURIComponent(at)}/${encodePath(folder)}`,
    context,
  );
  const place = { address, context, listing, files: new Map() };
  return new HttpSource(`${host}${id}@${revision}`, place, "");
}

/** The files below a URL. A query of the URL is sent with every file. */
export function createUrlSource(url: string, options: HttpOptions): CheckpointSource {
  const id = withoutSecrets(url).replace(/\/+$/, "") + selectionOf(url);
  const place = { address: new FolderAddress(url), context: httpContext(options) };
  return new HttpSource(id, { ...place, files: new Map() }, "");
}

/** Where a file is, and what is learned about the folder from answers. */
interface Address {
  readonly revision: string;
  urlOf(path: string): string;
  learn(headers: Headers): void;
}

/** Parameters that sign a request or let it in: they change from day to day and select nothing. */
const ACCESS = /sign|sig$|token|secret|key|credential|policy|auth|expires|date|amz|goog/i;

// Other parameters may select another model or version. An id is shown and kept, so it holds their fingerprint only.
function selectionOf(url: string): string {
  const all = [...new URL(url).searchParams];
  const selecting = new URLSearchParams(all.filter(([name]) => !ACCESS.test(name)));
  selecting.sort();
  const text = selecting.toString();
  return text === "" ? "" : `?${fingerprint(text)}`;
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

/** What a source and those of the folders inside it share. */
interface Place {
  readonly address: Address;
  readonly context: HttpContext;
  /** Of a hub. */
  readonly listing?: HubListing;
  readonly files: Map<string, HttpFile>;
}

class HttpSource implements CheckpointSource {
  readonly id: string;
  readonly #place: Place;
  readonly #folder: string;

  constructor(id: string, place: Place, folder: string) {
    this.id = id;
    this.#place = place;
    this.#folder = folder;
  }

  get revision(): string {
    return this.#place.address.revision;
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
    return this.#place.files.get(this.#folder + file)?.version ?? "";
  }

  async published(file: string, options?: ReadOptions): Promise<PublishedFile | undefined> {
    return this.#place.listing?.find(this.revision, this.#folder + file, options);
  }

  at(folder: string): CheckpointSource {
    const id = `${this.id}/${folder}`;
    const inside = `${this.#folder}${folder}/`;
    return new HttpSource(id, this.#place, inside);
  }

  close(): void {
    for (const file of this.#place.files.values()) file.close();
  }

  #file(file: string): HttpFile {
    const { address, context, files } = this.#place;
    const path = this.#folder + file;
    const known = files.get(path);
    if (known) return known;
    const learn = (headers: Headers): void => address.learn(headers);
    const remote = new HttpFile(address.urlOf(path), context, learn);
    files.set(path, remote);
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
