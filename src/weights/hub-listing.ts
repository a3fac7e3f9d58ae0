// What a hub says of its files: it lists each folder with the size of every file, and the SHA-256 of those in Git LFS
// (as weights are) or git's own id of the others. Answer of `GET {hub}/api/models/{owner}/{name}/tree/{revision}/{folder}`,
// read as huggingface.js does (packages/hub/src/lib/list-files.ts).
import type { ModelError } from "../base/errors.ts";
import type { HttpContext } from "./fetch-range.ts";
import { downloadFailed, isAbsence, reasonOf } from "./download-error.ts";
import { HttpFile } from "./http-file.ts";
import type { Json } from "./json-file.ts";
import { isJsonObject, parseJson } from "./json-file.ts";
import type { PublishedFile, ReadOptions } from "./source.ts";

/** Entries of the only page that is read. */
const PAGE = 1000;
/** An entry has some 300 bytes. */
const MAX_LISTING_BYTES = 16_000_000;
const SHA256 = /^[0-9a-f]{64}$/;
const SHA1 = /^[0-9a-f]{40}$/;

type Files = ReadonlyMap<string, PublishedFile>;

/** The lists of one repository's folders, each asked for once. */
export class HubListing {
  readonly #urlOf: (revision: string, folder: string) => string;
  readonly #context: HttpContext;
  readonly #folders = new Map<string, Promise<Files | undefined>>();

  /** @param urlOf - address of a folder's list; "" is the folder of the repository itself */
  constructor(urlOf: (revision: string, folder: string) => string, context: HttpContext) {
    this.#urlOf = urlOf;
    this.#context = context;
  }

  /**
   * What the hub says of a file that it has; undefined where the hub (a mirror, say) has no such lists.
   *
   * @throws ModelError download-failed, reason "damaged" for a list that lacks the file
   */
  async find(
    revision: string,
    path: string,
    options?: ReadOptions,
  ): Promise<PublishedFile | undefined> {
    const url = this.#urlOf(revision, path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    const known = this.#folders.get(url) ?? this.#ask(url, options);
    this.#folders.set(url, known);
    try {
      const files = await known;
      const file = files?.get(path);
      if (file || !files || files.size >= PAGE) return file;
      throw damaged(url, `The hub's list of its files does not name ${path}, which it has`);
    } catch (error) {
      this.#folders.delete(url);
      throw error;
    }
  }

  async #ask(url: string, options: ReadOptions = {}): Promise<Files | undefined> {
    const file = new HttpFile(url, this.#context, () => undefined);
    try {
      const { bytes } = await file.readPrefix(MAX_LISTING_BYTES, options);
      return parseListing(parse(bytes, url));
    } catch (error) {
      if (isAbsence(error) || reasonOf(error) === "gated") return undefined;
      throw error;
    } finally {
      file.close();
    }
  }
}

function parseListing(list: Json): Files {
  const files = new Map<string, PublishedFile>();
  for (const entry of Array.isArray(list) ? list : []) {
    const { path, lfs, ...blob } = isJsonObject(entry) ? entry : {};
    const kind = lfs === undefined ? "git" : "sha256";
    const { oid: hash, size: bytes } = isJsonObject(lfs) ? lfs : blob;
    const isHash = typeof hash === "string" && (kind === "git" ? SHA1 : SHA256).test(hash);
    if (typeof path === "string" && isHash && isCount(bytes))
      files.set(path, { hash, kind, bytes });
  }
  return files;
}

function parse(bytes: Uint8Array, url: string): Json {
  try {
    return parseJson(new TextDecoder().decode(bytes), url);
  } catch (cause) {
    throw damaged(url, "The hub's list of its files is no JSON", cause);
  }
}

function damaged(url: string, seen: string, cause?: unknown): ModelError {
  return downloadFailed({ reason: "damaged", url, status: 200, seen, cause });
}

function isCount(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
