// Where a checkpoint's files are read from. Everything above sees this interface; whether bytes come from
// a hub, a static host or a local folder is decided here and forgotten.
import type { SourceLocation } from "../base/source-location.ts";
import { collectDirectory, collectFiles, createFileSource } from "./file-source.ts";
import type { HttpOptions } from "./fetch-range.ts";
import { createHubSource, createUrlSource } from "./http-source.ts";

/** Options of one read. */
export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Called with the number of new bytes each time some arrive. */
  readonly onBytes?: (count: number) => void;
}

/** The beginning of a file. */
export interface Prefix {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Size of the whole file; undefined when the server does not tell. */
  readonly size: number | undefined;
}

/**
 * A folder of checkpoint files. Paths use `/` and are relative to the folder.
 *
 * Reads throw `ModelError` `download-failed` with `details.reason` (see {@link FetchReason}) and the
 * signal's own reason when aborted.
 */
export interface CheckpointSource {
  /** Names the source without contacting it: same input, same id. Holds no query string and no secret. */
  readonly id: string;
  /** What is really read: the commit once the hub told it, else what was asked for. */
  readonly revision: string;
  /** The whole file as UTF-8 text. */
  readText(file: string, options: ReadOptions & { readonly maxBytes: number }): Promise<string>;
  /** At most `maxBytes` from the beginning; shorter only when the file is. */
  readPrefix(file: string, maxBytes: number, options?: ReadOptions): Promise<Prefix>;
  /** Exactly the bytes `start` to `end` (exclusive). Cheapest when called in ascending order per file. */
  readRange(
    file: string,
    start: number,
    end: number,
    options?: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /** Bytes of the file; undefined when the server does not tell. */
  size(file: string, options?: ReadOptions): Promise<number | undefined>;
  /** False when the file is not there, also for hosts that answer every path with a page. */
  has(file: string, options?: ReadOptions): Promise<boolean>;
  /** What tells one version of a file from another (ETag, date); "" before it was read or when unknown. */
  versionOf(file: string): string;
  /** The same source seen from a folder inside it. */
  at(folder: string): CheckpointSource;
  /** Ends connections that are still open. Reading again opens new ones. */
  close(): void;
}

/** How a source talks to servers. */
export interface SourceOptions extends HttpOptions {
  /** Base address of the hub. Default https://huggingface.co */
  readonly hubUrl?: string;
}

/** Opens a source. A hub or URL is not contacted before the first read. */
export async function openSource(
  location: SourceLocation,
  { hubUrl = "https://huggingface.co", ...http }: SourceOptions = {},
): Promise<CheckpointSource> {
  switch (location.kind) {
    case "hub":
      return createHubSource(location, hubUrl, http);
    case "url":
      return createUrlSource(location.url, http);
    case "files":
      return createFileSource(await collectFiles(location.files));
    case "directory":
      return createFileSource(await collectDirectory(location.handle));
    default:
      return location satisfies never;
  }
}
