// Where a checkpoint comes from, as plain data that crosses to the loader worker. Decides what a user's
// string means; opens nothing.

/** What a user may hand to `loadModel`. */
export type SourceInput =
  | string
  | URL
  | { readonly files: readonly File[] | FileSystemDirectoryHandle };

/** Where a checkpoint's files are. Survives a structured clone. */
export type SourceLocation =
  | { readonly kind: "hub"; readonly id: string; readonly revision: string }
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "files"; readonly files: readonly File[] }
  | { readonly kind: "directory"; readonly handle: FileSystemDirectoryHandle };

const HUB_ID = /^(?<id>[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@(?<revision>[\w./-]+))?$/;
const HUB_PAGE =
  /^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\/(?<id>[\w.-]+\/[\w.-]+)(?:\/(?:tree|resolve)\/(?<revision>(?:[\w.-]|%2[Ff])+))?\/?$/;
const RELATIVE = /^\.{0,2}\//;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
// A folder cannot be made of these, and none of them is a place that files come from.
const NOT_A_FOLDER = new Set(["blob:", "data:", "javascript:", "about:"]);

/**
 * Decides what names a checkpoint: `owner/name[@revision]` is a hub id, an address with a scheme or
 * with a leading `/`, `./` or `../` is a folder of files, the address of a hub page is its repository.
 *
 * @param baseUrl - what relative addresses are relative to: the page's address
 * @throws TypeError when the input is of another type
 * @throws RangeError when a string is neither a hub id nor an address
 */
export function parseSource(input: SourceInput, baseUrl?: string): SourceLocation {
  if (typeof input === "string") return parseName(input, baseUrl);
  if (input instanceof URL) return parseName(input.href, baseUrl);
  if (typeof input === "object" && input !== null && "files" in input) {
    return parseFiles(input.files);
  }
  throw new TypeError(
    `A model is named by a hub id, a URL or { files }, got ${input === null ? "null" : typeof input}.`,
  );
}

function parseName(name: string, baseUrl?: string): SourceLocation {
  const page = HUB_PAGE.exec(name)?.groups;
  const hub = page ?? HUB_ID.exec(name)?.groups;
  if (hub?.["id"] !== undefined && !RELATIVE.test(name)) {
    return { kind: "hub", id: hub["id"], revision: checkRevision(hub["revision"] ?? "main", name) };
  }
  if (!RELATIVE.test(name) && !SCHEME.test(name)) {
    throw new RangeError(
      `"${name}" is neither a hub id (owner/name or owner/name@revision) nor a URL; a folder beside the page starts with "./".`,
    );
  }
  return { kind: "url", url: parseUrl(name, baseUrl) };
}

function checkRevision(revision: string, name: string): string {
  const decoded = revision.replaceAll(/%2f/gi, "/");
  if (decoded.split("/").some((part) => part === "" || part === "." || part === "..")) {
    throw new RangeError(`"${name}" has a revision that is not a branch, tag or commit.`);
  }
  return decoded;
}

function parseUrl(name: string, baseUrl?: string): string {
  const url = URL.canParse(name, baseUrl) ? new URL(name, baseUrl) : undefined;
  if (!url || NOT_A_FOLDER.has(url.protocol)) {
    throw new RangeError(`"${name}" is not the URL of a folder.`);
  }
  url.hash = "";
  return url.href;
}

function parseFiles(files: readonly File[] | FileSystemDirectoryHandle): SourceLocation {
  if (isDirectory(files)) return { kind: "directory", handle: files };
  const list = Array.isArray(files) ? files : [];
  if (list.length === 0 || !list.every((file) => file instanceof File)) {
    throw new TypeError("files must be a directory handle or a list of at least one File.");
  }
  return { kind: "files", files: list };
}

function isDirectory(
  files: readonly File[] | FileSystemDirectoryHandle,
): files is FileSystemDirectoryHandle {
  return typeof files === "object" && files !== null && "kind" in files;
}
