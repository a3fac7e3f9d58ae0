// The store of models, for pages: what is there, how much it takes, and deleting it. The loader worker
// does the work.
import type { Remote } from "comlink";
import type { CachedModel, CacheUsage } from "../base/cache-info.ts";
import type { Loader } from "../engine/loader.ts";
import { withLoader } from "./shared-loader.ts";
import type { WorkerFactories } from "./spawn.ts";
import { spawnLoader } from "./spawn.ts";

/** Options of every call of {@link cache}. */
export interface CacheOptions {
  readonly signal?: AbortSignal;
  /** Where the loader worker comes from, for pages that start it themselves. */
  readonly workers?: WorkerFactories;
}

/**
 * Models that are stored in this browser for this origin. All calls throw ModelError storage-unavailable
 * where the browser has no storage for the page.
 */
export const cache = {
  /** All models that load without a network. */
  list(options: CacheOptions = {}): Promise<CachedModel[]> {
    return ask(options, (loader) => loader.listModels());
  },

  /**
   * Deletes a model.
   *
   * @param id - `id` of an entry of the list (every quantization of it), or its `key` (that one alone)
   * @returns false when there was none
   */
  async delete(id: string, options: CacheOptions = {}): Promise<boolean> {
    if (typeof id !== "string") throw new TypeError(`id must be a string, got ${typeof id}.`);
    const deleted = await ask(options, (loader, signal) => loader.removeModels(id, signal));
    return deleted > 0;
  },

  /**
   * Keeps a model from being deleted by {@link cache.makeRoom}, or no longer.
   *
   * @param id - as for `delete`
   * @returns false when there is none
   */
  async pin(id: string, isPinned = true, options: CacheOptions = {}): Promise<boolean> {
    if (typeof id !== "string") throw new TypeError(`id must be a string, got ${typeof id}.`);
    const pinned = await ask(options, (loader) => loader.pinModels(id, isPinned));
    return pinned > 0;
  },

  /**
   * Deletes models that are not pinned, the longest unused first, until so many bytes are free or none is left:
   * what to do about a `quota-exceeded` error, whose `details.neededBytes` tells how much is missing. A model
   * that is loaded at the time and reads weights from the store again later will miss them: pin it before.
   *
   * @returns the models that were deleted
   */
  async makeRoom(bytes: number, options: CacheOptions = {}): Promise<CachedModel[]> {
    if (!(bytes > 0)) throw new RangeError(`bytes must be more than 0, got ${bytes}.`);
    return ask(options, (loader, signal) => loader.makeRoom(bytes, signal));
  },

  /** Deletes all models and what is left of downloads that did not end. */
  clear(options: CacheOptions = {}): Promise<void> {
    return ask(options, (loader, signal) => loader.clearModels(signal));
  },

  /** Bytes of the models and of everything this origin stores. */
  usage(options: CacheOptions = {}): Promise<CacheUsage> {
    return ask(options, (loader) => loader.measureUsage());
  },
};

function ask<T>(
  { signal, workers }: CacheOptions,
  question: (loader: Remote<Loader>, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const spawn = workers?.loader ?? spawnLoader;
  return withLoader(spawn, (loader) => loader.call(question, signal), signal);
}
