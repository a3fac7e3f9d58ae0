// What a database says when it fails, as errors that a user can act on.
import { answerWithin } from "../base/answer-within.ts";
import { fail, ModelError } from "../base/errors.ts";

/** Browsers have been seen not to answer; the error must not wait for its own details. */
const ESTIMATE_TIMEOUT_MS = 1_000;
/** "DataError" is what Chromium 156 makes of ENOSPC ("Failed to write blobs"); the keys it belongs to are never ours. */
const NO_ROOM: ReadonlySet<string> = new Set(["QuotaExceededError", "DataError"]);

/** A stored shard that is not what it should be; `details.shards` are for `repairShards`. */
export function corrupt(hash: string, what: string, cause?: unknown): ModelError {
  return fail(
    "weights-corrupt",
    `A stored piece of the weights (${hash.slice(0, 12)}) ${what}. It is fetched again on the next load.`,
    { shards: [hash] },
    cause,
  );
}

/** `storage-unavailable`, or the error itself where it is one of ours. */
export function unavailable(cause: unknown): ModelError {
  if (ModelError.isModelError(cause)) return cause;
  return fail(
    "storage-unavailable",
    `The browser's storage failed (${nameOf(cause)}). Free disk space or close other tabs of this page, and load again.`,
    { name: nameOf(cause) },
    cause,
  );
}

/**
 * What a failed write means: no room, or anything else.
 *
 * @param neededBytes - what was to be written, at least
 */
export async function writeFailed(cause: unknown, neededBytes: number): Promise<ModelError> {
  if (!NO_ROOM.has(nameOf(cause))) return unavailable(cause);
  // Both numbers are hints: browsers round and invent them.
  const { usage = 0, quota = 0 } = await estimateStorage();
  return fail(
    "quota-exceeded",
    "The browser has no room for more weights. Free disk space, delete other models (cache.makeRoom), or choose a smaller quantization.",
    { usageBytes: usage, quotaBytes: quota, neededBytes },
    cause,
  );
}

/** The browser's own numbers; empty where it has none, fails, or does not answer. */
export function estimateStorage(
  storage: Pick<StorageManager, "estimate"> | undefined = globalThis.navigator?.storage,
): Promise<StorageEstimate> {
  return answerWithin<StorageEstimate>(
    ESTIMATE_TIMEOUT_MS,
    {},
    async () => (await storage?.estimate()) ?? {},
  );
}

/** "QuotaExceededError" and the like; the type of what is no error. */
export function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : typeof error;
}
