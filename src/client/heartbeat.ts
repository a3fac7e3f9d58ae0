// Notices that the other thread has gone silent. Knows nothing about what it does.

/** How often a worker is asked while somebody waits for it. */
const BEAT_MS = 5_000;

/**
 * Beats without an answer until a worker counts as frozen: one minute. onnxruntime compiles and, on the CPU,
 * computes synchronously, many seconds on a slow machine; a worker that froze after a lost device never
 * answers again. Beats are counted, not time: a page that was suspended has missed only one.
 */
const MAX_MISSED_BEATS = 12;

/**
 * The same for a worker that has nothing to do when it is asked: it only has to come to its messages. Without this
 * one that died or froze between two calls would be found a minute after the next.
 */
const MAX_MISSED_IDLE_BEATS = 2;

/**
 * Beats without a sign of work until a call counts as stuck: ten minutes. A worker whose device hangs still
 * answers, but its work never ends. The longest quiet work is one stage compiled, or one step, in software.
 */
const MAX_QUIET_BEATS = 120;

/** Asks `ping` while anybody waits, and reports when answers or signs of work stay away. */
export class Heartbeat {
  readonly #ping: () => Promise<unknown>;
  readonly #onSilence: (what: string, seconds: number) => void;
  readonly #expectsSigns: boolean;
  #waiting = 0;
  #missed = 0;
  #patience = MAX_MISSED_BEATS;
  #quiet = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * @param onSilence - told what the other thread did not do, and for how long
   * @param expectsSigns - whoever waits also calls `sign` when the work gets on
   */
  constructor(
    ping: () => Promise<unknown>,
    onSilence: (what: string, seconds: number) => void,
    expectsSigns = false,
  ) {
    this.#ping = ping;
    this.#onSilence = onSilence;
    this.#expectsSigns = expectsSigns;
  }

  /** Notes that the work gets on. */
  sign(): void {
    this.#quiet = 0;
  }

  /** Asks a thread that has nothing to do, right before it is given work: no work can keep it from answering. */
  knock(): void {
    this.#patience = MAX_MISSED_IDLE_BEATS;
    void this.#ask();
  }

  /** Beats until `work` is settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#waiting += 1;
    this.#timer ??= setInterval(() => this.#beat(), BEAT_MS);
    try {
      return await work;
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#stop();
    }
  }

  #beat(): void {
    if (this.#missed === this.#patience) this.#report("did not answer", this.#patience);
    else if (this.#quiet === MAX_QUIET_BEATS) this.#report("got nowhere", MAX_QUIET_BEATS);
    this.#missed += 1;
    if (this.#expectsSigns) this.#quiet += 1;
    if (this.#missed === 1) void this.#ask();
  }

  #report(what: string, beats: number): void {
    this.#onSilence(what, (beats * BEAT_MS) / 1000);
  }

  // One question at a time: the answer to the oldest proves as much as that to the newest.
  async #ask(): Promise<void> {
    await this.#ping();
    this.#missed = 0;
    this.#patience = MAX_MISSED_BEATS;
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#missed = 0;
    this.#patience = MAX_MISSED_BEATS;
    this.#quiet = 0;
  }
}
