// Notices that the other thread has gone silent. Knows nothing about what it does.

/** How often a worker is asked while somebody waits for it. */
const BEAT_MS = 5_000;

/**
 * Beats without an answer until a worker counts as frozen: one minute. onnxruntime compiles and, on the CPU,
 * computes synchronously, many seconds on a slow machine; a worker that froze after a lost device never
 * answers again. Beats are counted, not time: a page that was suspended has missed only one.
 */
const MAX_MISSED_BEATS = 12;

/** Asks `ping` while anybody waits, and reports the silence of {@link MAX_MISSED_BEATS} beats. */
export class Heartbeat {
  readonly #ping: () => Promise<unknown>;
  readonly #onSilence: (seconds: number) => void;
  #waiting = 0;
  #missed = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(ping: () => Promise<unknown>, onSilence: (seconds: number) => void) {
    this.#ping = ping;
    this.#onSilence = onSilence;
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
    if (this.#missed === MAX_MISSED_BEATS) {
      this.#onSilence((MAX_MISSED_BEATS * BEAT_MS) / 1000);
      return;
    }
    this.#missed += 1;
    if (this.#missed === 1) void this.#ask();
  }

  // One question at a time: the answer to the oldest proves as much as that to the newest.
  async #ask(): Promise<void> {
    await this.#ping();
    this.#missed = 0;
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#missed = 0;
  }
}
