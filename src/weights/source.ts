// Where a checkpoint's files are read from: the interface that everything above sees, whether bytes come
// from a hub, a static host or a local folder.

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

/** What a host says that a file is, apart from the file itself. */
export interface PublishedFile {
  /** Of the whole file, as lowercase hex: its SHA-256, or the id that git gives it (SHA-1 of a line and the file). */
  readonly hash: string;
  readonly kind: "sha256" | "git";
  readonly bytes: number;
}

/** Reads stretches of files: what a header needs. */
export type StretchReader = Pick<CheckpointSource, "readPrefix" | "readRange">;

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
  /** Undefined where nobody tells: hubs know the hashes of their files, other hosts and disks do not. */
  published(file: string, options?: ReadOptions): Promise<PublishedFile | undefined>;
  /** The same source seen from a folder inside it. */
  at(folder: string): CheckpointSource;
  /** Ends connections that are still open. Reading again opens new ones. */
  close(): void;
}
