// One file on a server: ranges with retries, resumed where they broke; a check that the file stays the
// same; and the way out for servers that ignore Range.
import { present } from "../base/assert.ts";
import { allocate } from "./allocate.ts";
import { downloadFailed, reasonOf } from "./download-error.ts";
import type { HttpContext, RangeAnswer, RetryOptions } from "./fetch-range.ts";
import { requestRange, withRetries } from "./fetch-range.ts";
import { waitBefore } from "./retry.ts";
import { SequentialFile } from "./sequential-file.ts";
import { sniff, SNIFF_BYTES } from "./sniff.ts";
import type { Prefix, ReadOptions } from "./source.ts";

/** Whole files that a server which knows ranges may send in place of one before it is taken at its word. */
const MAX_STRAYS = 3;

/** Reads one URL. Several reads may run at once. */
export class HttpFile {
  readonly url: string;
  readonly #context: HttpContext;
  readonly #onHeaders: (headers: Headers) => void;
  /** Present once the server ignored a Range. */
  #sequential: SequentialFile | undefined;
  #size: number | undefined;
  #version = "";
  /** True once the server has sent a part of the file. */
  #sendsParts = false;
  #strays = 0;

  /** @param onHeaders - sees the headers of every good answer */
  constructor(url: string, context: HttpContext, onHeaders: (headers: Headers) => void) {
    this.url = url;
    this.#context = context;
    this.#onHeaders = onHeaders;
  }

  /** ETag or date; "" before the first answer or when the server tells neither. */
  get version(): string {
    return this.#version;
  }

  /** Size in bytes if an answer told it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** The first bytes, at most `maxBytes`. @throws ModelError download-failed, also for a page or LFS pointer */
  async readPrefix(maxBytes: number, options: ReadOptions = {}): Promise<Prefix> {
    const bytes = await this.#readHead(maxBytes, options);
    const disguise = sniff(bytes);
    if (!disguise) return { bytes, size: this.#size };
    this.close();
    throw downloadFailed({
      reason: disguise,
      url: this.url,
      status: 200,
      seen: "The server sent something else than the file",
    });
  }

  /** Exactly the bytes `start` to `end`. @throws ModelError download-failed */
  async readRange(
    start: number,
    end: number,
    options: ReadOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.#sequential ? undefined : await this.#readPart(start, end, options);
    return bytes ?? present(this.#sequential, "sequential file").readRange(start, end, options);
  }

  /** Ends open connections. */
  close(): void {
    this.#sequential?.close();
  }

  async #readHead(maxBytes: number, options: ReadOptions): Promise<Uint8Array<ArrayBuffer>> {
    const part = this.#sequential ? undefined : await this.#readFirstPart(maxBytes, options);
    if (part) return part;
    const file = present(this.#sequential, "sequential file");
    const { bytes, isWhole } = await file.readHead(maxBytes, options, this.#size);
    if (isWhole) this.#size = bytes.length;
    return bytes;
  }

  // Undefined when the server ignores Range: from then on the file is read sequentially.
  async #readFirstPart(
    maxBytes: number,
    { signal, onBytes }: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const attempt = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
      const answer = await this.#ask({ start: 0, end: maxBytes, allowShort: true }, signal);
      if (answer.kind === "whole") return this.#turnSequential(answer);
      const target = new Uint8Array(answer.end ?? maxBytes);
      const filled = await answer.body.readInto(target, onBytes);
      await this.#endPart(answer, answer.end === undefined || filled === target.length);
      // Content-Range is hidden: an answer shorter than asked for is the whole file.
      if (answer.end === undefined && filled < target.length) this.#size = filled;
      return target.subarray(0, filled);
    };
    return withRetries(
      this.#context,
      this.#retries(signal, () => 0),
      attempt,
    );
  }

  async #readPart(
    start: number,
    end: number,
    { signal, onBytes }: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const target = allocate(end - start, "a part of a file");
    let filled = 0;
    const attempt = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
      if (filled === target.length) filled = 0;
      const answer = await this.#ask({ start: start + filled, end }, signal);
      if (answer.kind === "whole") return this.#turnSequential(answer);
      await answer.body.readInto(target.subarray(filled), (count) => {
        filled += count;
        onBytes?.(count);
      });
      await this.#endPart(answer, filled === target.length);
      return target;
    };
    return withRetries(
      this.#context,
      this.#retries(signal, () => filled),
      attempt,
    );
  }

  #retries(signal: AbortSignal | undefined, progress: () => number): RetryOptions {
    return { signal, progress, wasReached: () => this.#wasReached };
  }

  get #wasReached(): boolean {
    return this.#version !== "" || this.#size !== undefined || this.#sendsParts;
  }

  // A part must end where it said it would, and there must be nothing behind it.
  async #endPart({ body }: RangeAnswer, isFull: boolean): Promise<void> {
    if (!isFull) {
      throw downloadFailed({
        reason: "truncated",
        url: this.url,
        status: 206,
        seen: "The answer ended before the range did",
      });
    }
    const isAtEnd = await body.isAtEnd();
    if (isAtEnd) return;
    body.cancel();
    throw downloadFailed({
      reason: "wrong-range",
      url: this.url,
      status: 206,
      seen: "The server sent more bytes than the range has",
    });
  }

  #turnSequential({ body }: RangeAnswer): undefined {
    if (this.#sequential) {
      body.cancel();
      return undefined;
    }
    const reopen = (signal?: AbortSignal): Promise<RangeAnswer> => this.#ask(undefined, signal);
    this.#sequential = new SequentialFile(this.url, this.#context, reopen, body);
    return undefined;
  }

  async #ask(range: AskedRange | undefined, signal?: AbortSignal): Promise<RangeAnswer> {
    const answer = await this.#request(range, signal);
    try {
      await this.#check(answer, range);
    } catch (error) {
      answer.body.cancel();
      throw error;
    }
    this.#version ||= answer.version;
    this.#size ??= answer.size;
    this.#sendsParts ||= answer.kind === "part";
    this.#onHeaders(answer.headers);
    return answer;
  }

  // The address behind the hub's own expires in the middle of a long download; asking the hub again renews it.
  async #request(range: AskedRange | undefined, signal?: AbortSignal): Promise<RangeAnswer> {
    try {
      return await requestRange(this.url, range, this.#context, signal);
    } catch (error) {
      if (reasonOf(error) !== "gated" || !this.#wasReached) throw error;
      await this.#context.pause(waitBefore(1, null) ?? 0, signal);
      return requestRange(this.url, range, this.#context, signal);
    }
  }

  async #check(answer: RangeAnswer, range: AskedRange | undefined): Promise<void> {
    const { kind, body } = answer;
    const status = kind === "part" ? 206 : 200;
    if (kind === "whole") {
      const disguise = sniff(await body.peek(SNIFF_BYTES));
      const seen = "The server sent something else than the file";
      // In the middle of a download that is somebody's portal or proxy, and may pass.
      const reason = this.#sendsParts ? "wrong-range" : disguise;
      if (disguise && reason) throw downloadFailed({ reason, url: this.url, status, seen });
      if (range && this.#sendsParts && this.#strays++ < MAX_STRAYS) {
        const stray = "The server sent the whole file in place of a part";
        throw downloadFailed({ reason: "wrong-range", url: this.url, status, seen: stray });
      }
    }
    const isOther = differs(this.#version, answer.version) || differs(this.#size, answer.size);
    if (isOther) {
      const seen = `The file's version or size changed from "${this.#version}", ${this.#size} bytes`;
      throw downloadFailed({ reason: "changed", url: this.url, status, seen });
    }
  }
}

/** Bytes to ask for, end exclusive. */
interface AskedRange {
  readonly start: number;
  readonly end: number;
  /** The file may end before. */
  readonly allowShort?: boolean;
}

function differs<T extends string | number>(known: T | undefined, seen: T | undefined): boolean {
  const isKnown = known !== undefined && known !== "";
  return isKnown && seen !== undefined && seen !== "" && known !== seen;
}
