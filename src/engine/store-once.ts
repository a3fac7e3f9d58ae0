// One model, one download: what is stored is not fetched again, and of several tabs that load the same model one
// stores it while the others wait.
import type { LoadProgress } from "../base/events.ts";
import { exclusively } from "../weights/import-lock.ts";
import type { Locks } from "../weights/import-lock.ts";
import type { Manifest } from "../weights/manifest.ts";
import type { WeightStore } from "../weights/weight-store.ts";

/** What is to be stored, and where. */
export interface OnceOptions {
  /** The model's key in the store. */
  readonly key: string;
  readonly store: WeightStore;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: LoadProgress) => void;
  /** Default: the browser's, where it has them. */
  readonly locks?: Locks | undefined;
}

/** A model that is stored now. */
export interface Stored {
  readonly manifest: Manifest;
  /** True when it was stored before, or by another tab meanwhile. */
  readonly alreadyStored: boolean;
}

/**
 * Finds a stored model, or has it stored.
 *
 * @throws what `fetchAndStore` throws; the signal's reason
 */
export async function storeOnce(
  options: OnceOptions,
  fetchAndStore: () => Promise<Manifest>,
): Promise<Stored> {
  const stored = await find(options);
  if (stored) return stored;
  const work = async (): Promise<Stored> =>
    (await find(options)) ?? { manifest: await fetchAndStore(), alreadyStored: false };
  return alone(options, work);
}

async function find({ key, store }: OnceOptions): Promise<Stored | undefined> {
  const manifest = await store.readManifest(key);
  if (!manifest) return undefined;
  // A disk that is too full for the date of the last use is no reason not to use it.
  await store.touch(key).catch(() => undefined);
  return { manifest, alreadyStored: true };
}

// Memory is not shared, so there is nobody to wait for.
function alone(
  { key, store, signal, onProgress, locks }: OnceOptions,
  work: () => Promise<Stored>,
): Promise<Stored> {
  if (store.kind === "memory") return work();
  const onWait = (): void => {
    onProgress({ phase: "wait", file: "", loadedBytes: 0, totalBytes: 0, bytesPerSecond: 0 });
  };
  const beat = (): Promise<void> => store.writeHeartbeat(key);
  const lastBeat = (): Promise<number> => store.readHeartbeat(key);
  return exclusively({ name: `web-umm:${key}`, signal, locks, beat, lastBeat, onWait }, work);
}
