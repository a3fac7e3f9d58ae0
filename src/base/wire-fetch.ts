// A `fetch` of the application, lent to a worker: it stays on its thread (it may hold an access token or a
// cache), the requests come to it, the bytes go back piece by piece as they are asked for. ReadableStream
// cannot be transferred in every browser, so the body crosses as calls.
import { proxy, releaseProxy } from "comlink";
import type { ProxyMarked, Remote } from "comlink";
import { moved, releaseSignal } from "./wire.ts";

/** What is used of an answer. */
export type FetchAnswer = Pick<Response, "status" | "headers" | "body" | "type">;

/** The platform's `fetch`, or a replacement that, say, adds an access token. */
export type FetchLike = (url: string, init: RequestInit) => Promise<FetchAnswer>;

/** One answer on the thread that fetched it. */
class LentAnswer {
  readonly #answer: FetchAnswer;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #ending: AbortSignal;
  // Who borrows may be gone by then, and a body that nobody reads keeps its connection.
  readonly #onEnd = (): void => void this.cancel().catch(() => undefined);

  constructor(answer: FetchAnswer, ending: AbortSignal) {
    this.#answer = answer;
    this.#reader = answer.body?.getReader();
    this.#ending = ending;
    if (ending.aborted) this.#onEnd();
    else ending.addEventListener("abort", this.#onEnd);
  }

  head(): Pick<FetchAnswer, "status" | "type"> & { readonly headers: [string, string][] } {
    const { status, type, headers } = this.#answer;
    return { status, type, headers: [...headers] };
  }

  // A copy moves: the chunk may be a view of memory that the application still uses.
  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const chunk = (await this.#reader?.read())?.value;
    if (!chunk) this.#ending.removeEventListener("abort", this.#onEnd);
    return chunk && moved(chunk.slice());
  }

  async cancel(): Promise<void> {
    this.#ending.removeEventListener("abort", this.#onEnd);
    await this.#reader?.cancel();
  }
}

/** A `fetch` as it crosses to a worker. */
export type LentFetch = (
  url: string,
  init: RequestInit,
  signal: AbortSignal,
) => Promise<LentAnswer & ProxyMarked>;

/**
 * Makes a `fetch` that a worker may call.
 *
 * @param ending - aborts when nobody borrows any more: a worker that is ended, or dies, takes back nothing itself.
 * Requests that are under way then end, and answers that are not read to their end are let go
 */
export function lendFetch(fetch: FetchLike, ending: AbortSignal): LentFetch & ProxyMarked {
  return proxy(async (url: string, init: RequestInit, asked: AbortSignal) => {
    const signal = AbortSignal.any([asked, ending]);
    return proxy(new LentAnswer(await fetch(url, { ...init, signal }), ending));
  });
}

/** The `fetch` that another thread lent. Rejects as that one does. */
export function borrowFetch(lent: Remote<LentFetch>): FetchLike {
  return async (url, { signal, headers, ...init }) => {
    const stop = signal ?? new AbortController().signal;
    try {
      const answer = await lent(url, { ...init, headers: [...new Headers(headers)] }, stop);
      const head = await answer.head();
      return { ...head, headers: new Headers(head.headers), body: bodyOf(answer, stop) };
    } catch (error) {
      releaseSignal(stop);
      throw error;
    }
  };
}

function bodyOf(
  answer: Remote<LentAnswer & ProxyMarked>,
  signal: AbortSignal,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const release = (): void => {
    releaseSignal(signal);
    answer[releaseProxy]();
  };
  return new ReadableStream(
    {
      async pull(controller) {
        const chunk = await answer.read().catch((error: unknown) => {
          release();
          throw error;
        });
        if (chunk) return controller.enqueue(chunk);
        release();
        controller.close();
      },
      async cancel() {
        await answer.cancel();
        release();
      },
    },
    // Nothing is fetched before it is asked for: the reader decides how much is in memory.
    { highWaterMark: 0 },
  );
}
