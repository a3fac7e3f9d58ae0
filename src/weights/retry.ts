// Trying again: how often, how long to wait, and how to wait so that an abort ends it at once.

/** Waits `ms`, or rejects with the signal's reason. Replaced in tests. */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>;

/** Longest wait between two attempts; who asks for more is told to come back later. */
const MAX_WAIT_MS = 60_000;
const FIRST_WAIT_MS = 500;
const LONGEST_OWN_WAIT_MS = 15_000;

/** Rejects with the signal's reason when it aborts first. */
export const pause: Pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });

/**
 * Milliseconds before attempt number `attempt` (1 = the second one): what the server asked for, else
 * a random part of a time that doubles, so that many tabs do not come back together.
 *
 * @param retryAfter - the Retry-After header: seconds or a date
 * @returns undefined when the server asks for longer than anybody waits
 */
export function waitBefore(
  attempt: number,
  retryAfter: string | null,
  now: number = Date.now(),
  random: number = Math.random(),
): number | undefined {
  const asked = parseRetryAfter(retryAfter, now);
  if (asked !== undefined) return asked <= MAX_WAIT_MS ? asked : undefined;
  const ceiling = Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LONGEST_OWN_WAIT_MS);
  return ceiling * (0.5 + random / 2);
}

function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}
