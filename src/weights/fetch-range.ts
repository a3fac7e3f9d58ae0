// One strict HTTP request for a range of bytes. Only `Range: bytes=a-b` is sent: it needs no CORS
// preflight. A status of 206 proves nothing by itself, so the range that the answer names must be the one
// asked for; who reads the body counts the bytes.
import type { ModelError } from "../base/errors.ts";
import type { FetchAnswer, FetchLike } from "../base/wire-fetch.ts";
import { BodyReader, IdleError, withIdleLimit } from "./body-reader.ts";
import type { FetchReason } from "./download-error.ts";
import { downloadFailed, reasonOf } from "./download-error.ts";
import type { Pause } from "./retry.ts";
import { pause as defaultPause, waitBefore } from "./retry.ts";

/** How requests are made. */
export interface HttpOptions {
  readonly fetch?: FetchLike | undefined;
  /** Longest silence before a request is given up. Default 20 s. */
  readonly idleTimeoutMs?: number;
  /** Attempts in a row that bring no byte. Default 5. */
  readonly attempts?: number;
  /** How to wait between attempts; tests do not wait. */
  readonly pause?: Pause;
}

/** {@link HttpOptions} with nothing left open. */
export type HttpContext = Required<Omit<HttpOptions, "fetch">> & { readonly fetch: FetchLike };

/** An answer that may be read. `start` and `end` are bytes of the file, end exclusive. */
export interface RangeAnswer {
  /** "part" is what was asked for; "whole" is the file from its first byte: the server ignored Range. */
  readonly kind: "part" | "whole";
  readonly start: number;
  readonly end: number | undefined;
  /** Size of the file; undefined when the server does not tell (or CORS hides it). */
  readonly size: number | undefined;
  /** ETag or date of the file; "" when unknown. */
  readonly version: string;
  readonly headers: Headers;
  readonly body: BodyReader;
}

/** Attempts for one range, however much progress each of them made. */
const MAX_ATTEMPTS = 50;
/** Times as many attempts where a network that was there is gone: two minutes, and it may be the user's train. */
const PATIENCE = 3;
const NO_NETWORK: ReadonlySet<string | undefined> = new Set<FetchReason>([
  "network",
  "offline",
  "stalled",
]);

const RETRYABLE: ReadonlySet<string | undefined> = new Set<FetchReason>([
  "network",
  "offline",
  "stalled",
  "truncated",
  "busy",
  "server-error",
  "wrong-range",
]);

/** How {@link withRetries} goes on. */
export interface RetryOptions {
  readonly signal: AbortSignal | undefined;
  readonly progress: () => number;
  readonly wasReached: () => boolean;
}

/** Fills in the defaults. */
export function httpContext({
  fetch = (url, init) => globalThis.fetch(url, init),
  idleTimeoutMs = 20_000,
  attempts = 5,
  pause = defaultPause,
}: HttpOptions = {}): HttpContext {
  return { fetch, idleTimeoutMs, attempts, pause };
}

/**
 * Asks for the bytes `start` to `end` (exclusive); for the whole file when `range` is undefined.
 *
 * @param allowShort - the file may end before `end`
 * @throws ModelError download-failed
 */
export async function requestRange(
  url: string,
  range:
    | { readonly start: number; readonly end: number; readonly allowShort?: boolean }
    | undefined,
  context: HttpContext,
  signal?: AbortSignal,
): Promise<RangeAnswer> {
  const stopper = new AbortController();
  const answer = await send(url, range, context, stopper, signal);
  const { status, headers, type } = answer;
  const owner = { url, status, signal, idleTimeoutMs: context.idleTimeoutMs };
  const body = new BodyReader(answer.body, { ...owner, stop: () => stopper.abort() });
  try {
    const place = placeOf(url, range, { status, headers, type });
    return { ...place, version: versionOf(headers), headers, body };
  } catch (error) {
    body.cancel();
    throw error;
  }
}

/**
 * Runs `work` until it succeeds, fails for good, or brought no progress `attempts` times in a row: longer where
 * the file has been reached before.
 *
 * @param work - one attempt; returns its result or throws
 * @param options.progress - a number that grows while attempts bring something
 * @param options.wasReached - the server has answered a request for the file
 */
export async function withRetries<T>(
  context: HttpContext,
  { signal, progress, wasReached }: RetryOptions,
  work: () => Promise<T>,
): Promise<T> {
  let idle = 0;
  for (let attempt = 1; ; attempt++) {
    const before = progress();
    try {
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      idle = progress() > before ? 1 : idle + 1;
      const reason = reasonOf(error);
      const patience = wasReached() && NO_NETWORK.has(reason) ? PATIENCE : 1;
      const isFinal = idle >= context.attempts * patience || attempt >= MAX_ATTEMPTS;
      if (signal?.aborted || isFinal || !RETRYABLE.has(reason)) throw error;
      const wait = waitBefore(idle, retryAfterOf(error));
      if (wait === undefined) throw error;
      await context.pause(wait, signal);
    }
  }
}

async function send(
  url: string,
  range: { readonly start: number; readonly end: number } | undefined,
  { fetch, idleTimeoutMs }: HttpContext,
  stopper: AbortController,
  signal?: AbortSignal,
): Promise<FetchAnswer> {
  try {
    const request = fetch(url, {
      headers: range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {},
      signal: signal ? AbortSignal.any([signal, stopper.signal]) : stopper.signal,
      // Partial answers of gigabytes do not belong into the HTTP cache; Firefox aborts on them.
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    return await withIdleLimit(request, { idleTimeoutMs, signal });
  } catch (error) {
    stopper.abort();
    signal?.throwIfAborted();
    const isIdle = error instanceof IdleError;
    throw downloadFailed({
      reason: isIdle ? "stalled" : isOffline() ? "offline" : "network",
      url,
      status: 0,
      seen: isIdle ? error.message : "The request failed",
      cause: error,
    });
  }
}

// Only "no" means something: a device in a captive portal says that it is online.
function isOffline(): boolean {
  const navigator: Partial<Navigator> | undefined = globalThis.navigator;
  return navigator?.onLine === false;
}

type Place = Pick<RangeAnswer, "kind" | "start" | "end" | "size">;
type Head = Pick<FetchAnswer, "status" | "headers" | "type">;

function placeOf(
  url: string,
  range:
    | { readonly start: number; readonly end: number; readonly allowShort?: boolean }
    | undefined,
  head: Head,
): Place {
  const { status, headers } = head;
  if (status === 206 && range) return partOf(url, range, head);
  if (status === 200) {
    const size = sizeOfWhole(head);
    return { kind: "whole", start: 0, end: size, size };
  }
  if (status === 416 && range && /^bytes \*\/0$/i.test(headers.get("content-range") ?? "")) {
    return { kind: "part", start: 0, end: 0, size: 0 };
  }
  throw statusError(url, status, headers);
}

function partOf(
  url: string,
  range: { readonly start: number; readonly end: number; readonly allowShort?: boolean },
  { status, headers, type }: Head,
): Place {
  const header = headers.get("content-range");
  const isMultipart = /^multipart\//i.test(headers.get("content-type") ?? "");
  // Content-Range may be hidden from a cross-origin page; then the count of bytes has to do.
  if (header === null && type === "cors" && !isMultipart) {
    const end = range.allowShort ? undefined : range.end;
    return { kind: "part", start: range.start, end, size: undefined };
  }
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(header ?? "") ?? [];
  const end = Number(last) + 1;
  const size = total === undefined || total === "*" ? undefined : Number(total);
  const wanted = range.allowShort && size !== undefined ? Math.min(range.end, size) : range.end;
  if (Number(first) !== range.start || end !== wanted || (size !== undefined && end > size)) {
    throw downloadFailed({
      reason: "wrong-range",
      url,
      status,
      seen: `Asked for bytes ${range.start}-${range.end - 1}, the server sent "${header ?? "no Content-Range"}"`,
    });
  }
  return { kind: "part", start: range.start, end, size };
}

// With a content coding the length is that of the coded bytes and says nothing about ours; whether there
// is one is hidden from a cross-origin page.
function sizeOfWhole({ headers, type }: Head): number | undefined {
  const length = headers.get("content-length") ?? "";
  const isCoded = (headers.get("content-encoding") ?? "identity") !== "identity";
  return type === "cors" || isCoded || !/^\d+$/.test(length) ? undefined : Number(length);
}

function statusError(url: string, status: number, headers: Headers): ModelError {
  const retryAfter = headers.get("retry-after");
  return downloadFailed({
    reason: reasonOfStatus(status),
    url,
    status,
    seen: `The server answered ${status}${status === 404 ? " (not found)" : ""}`,
    ...(retryAfter === null ? {} : { retryAfter }),
  });
}

function reasonOfStatus(status: number): FetchReason {
  if (status === 401 || status === 403) return "gated";
  if (status === 404 || status === 410) return "not-found";
  if (status === 416) return "changed";
  if (status === 408 || status === 425 || status === 429 || status === 503) return "busy";
  return status >= 500 ? "server-error" : "wrong-range";
}

function versionOf(headers: Headers): string {
  return (headers.get("etag") ?? headers.get("last-modified") ?? "").replace(/^W\//, "");
}

function retryAfterOf(error: unknown): string | null {
  const details = error instanceof Error && "details" in error ? error.details : undefined;
  if (typeof details !== "object" || details === null || !("retryAfter" in details)) return null;
  return String(details.retryAfter);
}
