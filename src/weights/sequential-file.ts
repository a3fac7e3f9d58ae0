// A file on a server that ignores Range: read from its beginning to its end, once, dropping what nobody
// asked for. Going back costs a new download, so callers read in file order.
import type { ModelError } from "../base/errors.ts";
import { allocate } from "./allocate.ts";
import type { BodyReader } from "./body-reader.ts";
import { downloadFailed } from "./download-error.ts";
import type { HttpContext, RangeAnswer } from "./fetch-range.ts";
import { withRetries } from "./fetch-range.ts";
import type { ReadOptions } from "./source.ts";

/** Reads forward through one answer of a server; opens another one when it has to. */
export class SequentialFile {
  readonly #url: string;
  readonly #context: HttpContext;
  readonly #open: (signal?: AbortSignal) => Promise<RangeAnswer>;
  #body: BodyReader | undefined;
  #position = 0;
  /** The first bytes of the file: the header is read before the tensors that begin inside the same read. */
  #head: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param open - asks for the whole file again
   * @param body - an answer that has not been read yet
   */
  constructor(
    url: string,
    context: HttpContext,
    open: (signal?: AbortSignal) => Promise<RangeAnswer>,
    body?: BodyReader,
  ) {
    this.#url = url;
    this.#context = context;
    this.#open = open;
    this.#body = body;
  }

  /**
   * The first bytes, at most `maxBytes`, and whether the file ends with them. Kept for later reads.
   *
   * @param size - what the server said that the file has
   */
  async readHead(
    maxBytes: number,
    options: ReadOptions,
    size?: number,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer>; isWhole: boolean }> {
    return this.#queue(options, async (progress) => {
      const body = await this.#bodyAt(0, options.signal);
      const chunks: Uint8Array[] = [];
      let count = 0;
      while (count < maxBytes) {
        const chunk = await body.read(maxBytes - count);
        if (!chunk) break;
        chunks.push(chunk);
        count += chunk.length;
        this.#position += chunk.length;
        progress(count);
        options.onBytes?.(chunk.length);
      }
      if (count < Math.min(maxBytes, size ?? 0)) throw this.#endedEarly(size ?? 0);
      this.#head = joinChunks(chunks, count);
      return { bytes: this.#head, isWhole: count < maxBytes || (await body.isAtEnd()) };
    });
  }

  /** Exactly the bytes `start` to `end`. */
  async readRange(
    start: number,
    end: number,
    options: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#queue(options, async (progress) => {
      const target = allocate(end - start, "a part of a file");
      const known = this.#head.subarray(start, end);
      target.set(known);
      if (known.length === target.length) return target;
      await this.#fill(target.subarray(known.length), start + known.length, options);
      progress(end);
      return target;
    });
  }

  /** Ends the connection. */
  close(): void {
    this.#body?.cancel();
    this.#body = undefined;
    this.#position = 0;
  }

  async #fill(target: Uint8Array, start: number, options: ReadOptions): Promise<void> {
    const body = await this.#bodyAt(start, options.signal);
    const skipped = await body.skip(start - this.#position);
    const filled = await body.readInto(target, options.onBytes);
    this.#position += skipped + filled;
    if (filled < target.length) throw this.#endedEarly(start + target.length);
  }

  #endedEarly(expected: number): ModelError {
    return downloadFailed({
      reason: "truncated",
      url: this.#url,
      status: 200,
      seen: `The file ended after ${this.#position} bytes, expected at least ${expected}`,
    });
  }

  async #bodyAt(position: number, signal?: AbortSignal): Promise<BodyReader> {
    if (this.#body && this.#position <= position) return this.#body;
    this.close();
    this.#body = (await this.#open(signal)).body;
    return this.#body;
  }

  // One read at a time: they share the position.
  async #queue<T>(
    { signal }: ReadOptions,
    work: (progress: (value: number) => void) => Promise<T>,
  ): Promise<T> {
    let reached = 0;
    const attempt = async (): Promise<T> => {
      try {
        return await work((value) => (reached = value));
      } catch (error) {
        this.close();
        throw error;
      }
    };
    const run = (): Promise<T> => {
      const retries = { signal, progress: () => reached, wasReached: () => true };
      return withRetries(this.#context, retries, attempt);
    };
    const result = this.#turn.then(run, run);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function joinChunks(chunks: readonly Uint8Array[], count: number): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(count);
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}
