// A hub in memory: one repository at one commit, its list of files, and whatever a test does to the bytes on
// their way.
import { createHash } from "node:crypto";

import type { FetchLike } from "../../src/base/wire-fetch.ts";

export const HUB_URL = "https://hub.example";
export const COMMIT: string = "c0".repeat(20);
/** The repository. */
export const REPOSITORY = "owner/name";

/** Bytes of a repository's files, by path. */
export type HubFiles = Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

/** A stretch of a file as the hub is about to send it; a test may change its bytes. */
export interface SentStretch {
  readonly path: string;
  readonly start: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** How a hub keeps its files. */
export interface HubOptions {
  /** False: all of them are in git itself. */
  readonly hasLfs: boolean;
}

/** What the hub says of a folder's files: those that end in .safetensors are in Git LFS. */
export function listingOf(
  files: HubFiles,
  folder = "",
  { hasLfs }: HubOptions = { hasLfs: true },
): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(files)
    .filter(([path]) => path.slice(0, Math.max(0, path.lastIndexOf("/"))) === folder)
    .map(([path, bytes]) => {
      const isLarge = hasLfs && path.endsWith(".safetensors");
      const oid = createHash("sha256").update(bytes).digest("hex");
      const blob = isLarge ? `version https://git-lfs.github.com/spec/v1\noid ${oid}` : bytes;
      const id = createHash("sha1").update(`blob ${blob.length}\0`).update(blob).digest("hex");
      const entry = { type: "file", path, size: bytes.length, oid: id };
      return isLarge ? { ...entry, lfs: { oid, size: bytes.length, pointerSize: 134 } } : entry;
    });
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(entries)));
}

/**
 * A `fetch` that reaches the hub.
 *
 * @param send - sees (and may change) every stretch of a file before it goes out
 */
export function fakeHub(
  files: HubFiles,
  send: (stretch: SentStretch) => void = () => undefined,
  options?: HubOptions,
): FetchLike {
  return async (url, { headers, signal }) => {
    signal?.throwIfAborted();
    const path = decodeURIComponent(new URL(url).pathname);
    const listed = new RegExp(`^/api/models/${REPOSITORY}/tree/[^/]+/?(.*)$`).exec(path);
    const resolved = new RegExp(`^/${REPOSITORY}/resolve/[^/]+/(.*)$`).exec(path);
    const file = resolved?.[1] ?? "";
    const whole = listed ? listingOf(files, listed[1], options) : files[file];
    if (!whole) return new Response(null, { status: 404 });
    const [, from, last] =
      /^bytes=(\d+)-(\d+)$/.exec(new Headers(headers).get("range") ?? "") ?? [];
    const start = Number(from ?? 0);
    const end = Math.min(whole.length, Number(last ?? whole.length - 1) + 1);
    const bytes = whole.slice(start, end);
    if (resolved) send({ path: file, start, bytes });
    return new Response(bytes, {
      status: 206,
      headers: {
        etag: `"${file}"`,
        "x-repo-commit": COMMIT,
        "content-range": `bytes ${start}-${end - 1}/${whole.length}`,
      },
    });
  };
}
