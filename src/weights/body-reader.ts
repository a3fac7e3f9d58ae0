// The body of one HTTP answer, read piece by piece. Never waits longer than the idle limit for the next
// piece, never hands out more bytes than asked for.
import { downloadFailed } from "./download-error.ts";

/** Whom to blame when the body fails, and how to end the request behind it. */
export interface BodyOwner {
  readonly url: string;
  readonly status: number;
  readonly idleTimeoutMs: number;
  /** The caller's own wish to stop. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the request. */
  readonly stop: () => void;
}

/** Reads a body in order. */
export class BodyReader {
  readonly #owner: BodyOwner;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #rest: Uint8Array | undefined;

  constructor(body: ReadableStream<Uint8Array> | null, owner: BodyOwner) {
    this.#owner = owner;
    this.#reader = body?.getReader();
  }

  /** The next bytes, at most `limit`; undefined at the end. @throws ModelError stalled | truncated */
  async read(limit: number): Promise<Uint8Array | undefined> {
    const chunk = this.#rest ?? (await this.#next());
    this.#rest = chunk && chunk.length > limit ? chunk.subarray(limit) : undefined;
    return chunk?.subarray(0, limit);
  }

  /** Copies bytes to `target` until it is full or the body ends; returns how many. */
  async readInto(target: Uint8Array, onBytes?: (count: number) => void): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const chunk = await this.read(target.length - filled);
      if (!chunk) break;
      target.set(chunk, filled);
      filled += chunk.length;
      onBytes?.(chunk.length);
    }
    return filled;
  }

  /** The next bytes without taking them: at least `count`, fewer only at the end. */
  async peek(count: number): Promise<Uint8Array> {
    let seen = this.#rest ?? new Uint8Array(0);
    while (seen.length < count) {
      const next = await this.#next();
      if (!next) break;
      const both = new Uint8Array(seen.length + next.length);
      both.set(seen);
      both.set(next, seen.length);
      seen = both;
      this.#rest = seen;
    }
    return seen;
  }

  /** Drops bytes; returns how many there were. */
  async skip(count: number): Promise<number> {
    let skipped = 0;
    while (skipped < count) {
      const chunk = await this.read(count - skipped);
      if (!chunk) break;
      skipped += chunk.length;
    }
    return skipped;
  }

  /** True when no byte is left; waits for the server to say so. */
  async isAtEnd(): Promise<boolean> {
    this.#rest ??= await this.#next();
    return this.#rest === undefined;
  }

  /** Ends the request; harmless when it has ended. */
  cancel(): void {
    this.#rest = undefined;
    this.#owner.stop();
    this.#reader?.cancel().catch(() => undefined);
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (!this.#reader) return undefined;
    for (;;) {
      const { done, value } = await this.#readOnce(this.#reader);
      if (done) return undefined;
      if (value.length > 0) return value;
    }
  }

  async #readOnce(
    reader: ReadableStreamDefaultReader<Uint8Array>,
  ): Promise<ReadableStreamReadResult<Uint8Array>> {
    const { url, status, signal } = this.#owner;
    try {
      return await withIdleLimit(reader.read(), this.#owner);
    } catch (error) {
      this.cancel();
      signal?.throwIfAborted();
      throw error instanceof IdleError
        ? downloadFailed({ reason: "stalled", url, status, seen: error.message })
        : downloadFailed({
            reason: "truncated",
            url,
            status,
            seen: "The connection broke while the file was read",
            cause: error,
          });
    }
  }
}

/** The other side was silent for too long. */
export class IdleError extends Error {}

/** Settles as `work` does; rejects with {@link IdleError} after the idle limit and with the signal's reason. */
export function withIdleLimit<T>(
  work: Promise<T>,
  { idleTimeoutMs, signal }: Pick<BodyOwner, "idleTimeoutMs" | "signal">,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) reject(signal.reason);
    const stop = (): void => reject(signal?.reason);
    const timer = setTimeout(
      () => reject(new IdleError(`No byte arrived for ${idleTimeoutMs / 1000} s`)),
      idleTimeoutMs,
    );
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      finish();
    };
    signal?.addEventListener("abort", stop, { once: true });
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
