// Two tabs, one download: whoever holds the lock of a model imports it, the others wait and find it stored. The
// lock saves bytes, it is not what keeps the store right: where there are no Web Locks, and when one is taken
// from a tab that the browser has frozen, two imports of the same model at once end with the same rows.

/** What is used of `navigator.locks`. */
export type Locks = Pick<LockManager, "request">;

/** How an import says that it is alive, and how the others hear it. */
export interface Pulse {
  /** Called every few seconds while the work runs. */
  readonly beat: () => Promise<void>;
  /** When it was last called, in whichever tab. */
  readonly lastBeat: () => Promise<number>;
}

/** What {@link exclusively} works with. */
export interface LockOptions extends Pulse {
  /** Names the work. */
  readonly name: string;
  readonly signal: AbortSignal;
  /** Default: the browser's, where it has them. */
  readonly locks?: Locks | undefined;
  /** Called every few seconds while another tab does the work. */
  readonly onWait?: () => void;
}

/** A frozen tab's timers stand still, those of a hidden one's worker do not. */
const BEAT_MS = 5_000;
/** Beats that may be missed before the lock of an import is taken from it. */
const MISSED_BEATS = 6;

/**
 * Runs `work` while no other tab runs work of this name, as far as the browser can tell.
 *
 * @throws what `work` throws; the signal's reason while it waits
 */
export function exclusively<T>(options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { name, signal, locks = browserLocks() } = options;
  if (!locks) return work();
  return new Promise((resolve, reject) => {
    const waiting = new AbortController();
    let hasBegun = false;
    const begin = async (): Promise<void> => {
      if (hasBegun) return;
      hasBegun = true;
      stopWatching();
      await withPulse(options, work).then(resolve, reject);
    };
    const takeOver = (): void => {
      waiting.abort();
      locks.request(name, { steal: true }, begin).catch(begin);
    };
    const stopWatching = watch(options, takeOver);
    const either = AbortSignal.any([signal, waiting.signal]);
    locks.request(name, { signal: either }, begin).catch(() => {
      if (waiting.signal.aborted || hasBegun) return;
      stopWatching();
      if (signal.aborted) reject(signal.reason);
      // Locks are refused to some pages; the work is right without.
      else void begin();
    });
  });
}

async function withPulse<T>({ beat }: Pulse, work: () => Promise<T>): Promise<T> {
  // A beat that cannot be written costs others a download at worst.
  const tell = (): void => void beat().catch(() => undefined);
  tell();
  const timer = setInterval(tell, BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

// Counts polls without a new beat, not seconds: a laptop that sleeps stops both sides.
function watch({ lastBeat, onWait }: LockOptions, onSilence: () => void): () => void {
  let [isOver, heard, missed] = [false, -1, 0];
  const poll = async (): Promise<void> => {
    const beat = await lastBeat();
    if (isOver) return;
    missed = beat === heard ? missed + 1 : 0;
    heard = beat;
    if (missed < MISSED_BEATS) return onWait?.();
    stop();
    onSilence();
  };
  const timer = setInterval(() => void poll().catch(() => undefined), BEAT_MS);
  const stop = (): void => {
    isOver = true;
    clearInterval(timer);
  };
  return stop;
}

// Typed as always there; absent in old browsers and on pages that are not secure.
function browserLocks(): Locks | undefined {
  const navigator: Partial<Navigator> | undefined = globalThis.navigator;
  return navigator?.locks;
}
