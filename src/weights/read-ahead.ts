// Brings the bytes of the next jobs while the current one is converted. Neighbouring slices share a
// request; only a few requests are open at a time, so memory stays bounded.
import type { Job, RowSlice } from "./layout.ts";
import type { CheckpointSource } from "./source.ts";

/** Largest request, and with it the largest loss when one breaks. */
export const REQUEST_BYTES: number = 16 * 1024 * 1024;
/** Bytes that nobody wants but that are cheaper to fetch than to skip. */
const MAX_GAP_BYTES = 64 * 1024;
/** Requests that are open or waiting to be converted. */
const OPEN_REQUESTS = 3;

/** One request and the slices that it serves, in order; none where the bytes are read to be hashed only. */
export interface RangeRequest {
  readonly companion: string;
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly slices: readonly RowSlice[];
}

/** How to read. */
export interface ReadAheadOptions {
  /** Sources by companion id; "" is the model's own. */
  readonly sources: Readonly<Record<string, CheckpointSource>>;
  readonly signal?: AbortSignal | undefined;
  /** New bytes of a file. */
  readonly onBytes?: (count: number, file: string) => void;
  /** Sees the bytes of a request up to the end of each slice, before that is handed out; all where there is none. */
  readonly inspect?: ((request: RangeRequest, bytes: Uint8Array) => void) | undefined;
}

/** Groups the slices of jobs, in order, into requests. */
export function planRequests(jobs: readonly Job[]): RangeRequest[] {
  const requests: RangeRequest[] = [];
  for (const { recipe, slices } of jobs) {
    for (const slice of slices) {
      const { companion, file } = recipe;
      const last = requests.at(-1);
      const isSameFile = last?.companion === companion && last.file === file;
      if (last && isSameFile && fits(last, slice)) {
        const end = Math.max(last.end, slice.end);
        requests[requests.length - 1] = { ...last, end, slices: [...last.slices, slice] };
      } else
        requests.push({ companion, file, start: slice.start, end: slice.end, slices: [slice] });
    }
  }
  return requests;
}

/**
 * The bytes of every slice of the requests, in order.
 *
 * A consumer that stops early ends the requests that are open.
 */
export async function* readSlices(
  requests: readonly RangeRequest[],
  { sources, signal, onBytes, inspect }: ReadAheadOptions,
): AsyncGenerator<Uint8Array> {
  const stopper = new AbortController();
  const both = signal ? AbortSignal.any([signal, stopper.signal]) : stopper.signal;
  const open: Promise<Uint8Array>[] = [];
  let next = 0;
  const start = ({ companion, file, start: from, end }: RangeRequest): Promise<Uint8Array> => {
    const source = sources[companion];
    if (!source) return Promise.reject(new Error(`no source for "${companion}"`));
    const count = (bytes: number): void => onBytes?.(bytes, file);
    const bytes = source.readRange(file, from, end, { signal: both, onBytes: count });
    bytes.catch(() => undefined); // It is awaited in its turn; until then a failure is not unhandled.
    return bytes;
  };
  try {
    for (const request of requests) {
      for (; next < requests.length && open.length < OPEN_REQUESTS; next++) {
        const upcoming = requests[next];
        if (upcoming) open.push(start(upcoming));
      }
      const bytes = await open.shift();
      if (!bytes) return;
      for (const slice of request.slices) {
        inspect?.(request, bytes.subarray(0, slice.end - request.start));
        yield bytes.subarray(slice.start - request.start, slice.end - request.start);
      }
      if (request.slices.length === 0) inspect?.(request, bytes);
    }
  } finally {
    stopper.abort();
  }
}

function fits(request: RangeRequest, slice: RowSlice): boolean {
  const gap = slice.start - request.end;
  const isForward = slice.start >= request.start;
  return isForward && gap <= MAX_GAP_BYTES && slice.end - request.start <= REQUEST_BYTES;
}
