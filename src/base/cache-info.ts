// What the store of models tells about itself. Plain data for pages.
import type { Quantization } from "./dtype.ts";

/** A model that is stored completely and loads without a network. */
export interface CachedModel {
  /** Names this entry: the model, its revision and how it is stored. */
  readonly key: string;
  /** The model as it was named: the hub id, the address of its folder, or the name of its files. */
  readonly id: string;
  /** Commit or version that was stored. */
  readonly revision: string;
  readonly family: string;
  readonly quantization: Quantization;
  /** Bytes on disk. Models may share parts; then these do not add up to the usage. */
  readonly storedBytes: number;
  /** When it was completed, in milliseconds since 1970. */
  readonly storedAt: number;
  /** When it was last loaded, in milliseconds since 1970. */
  readonly usedAt: number;
  /** True: never deleted to make room. */
  readonly isPinned: boolean;
}

/** Storage of this origin, in bytes. */
export interface CacheUsage {
  /** Bytes of all parts of models, also of those whose download is not complete. */
  readonly modelBytes: number;
  /** Bytes of everything this origin stores, as the browser estimates them. */
  readonly originBytes: number;
  /** What the browser says may be stored in total. Some browsers make this number up; never rely on it. */
  readonly quotaBytes: number;
  /** True when the browser promised not to clear this origin by itself. */
  readonly isPersistent: boolean;
}
