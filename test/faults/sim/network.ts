// The network of a simulated world: files in memory behind a `fetch` whose answers come piece by piece, late,
// cut, as other answers than asked for, or never.
import type { FetchAnswer, FetchLike } from "../../../src/base/wire-fetch.ts";
import type { World } from "./world.ts";

/** Files by path, the version of each, and what crossed. */
export class Network {
  /** Chance of a fault of one answer, in a hundred. */
  faults = 0;
  sentBytes = 0;
  requests = 0;
  readonly #world: World;
  readonly #files = new Map<string, { bytes: Uint8Array; version: number }>();

  constructor(world: World, files: Readonly<Record<string, Uint8Array>>) {
    this.#world = world;
    for (const [path, bytes] of Object.entries(files)) this.#files.set(path, { bytes, version: 1 });
  }

  /** Replaces a file; its ETag changes. */
  replace(path: string, bytes: Uint8Array): void {
    this.#files.set(path, { bytes, version: (this.#files.get(path)?.version ?? 0) + 1 });
  }

  /** What pages call. */
  readonly fetch: FetchLike = async (url, { headers, signal }) => {
    const path = new URL(url).pathname;
    await this.#world.step(`fetch ${path}`);
    signal?.throwIfAborted();
    this.requests++;
    const range = /bytes=(\d+)-(\d+)/.exec(new Headers(headers).get("range") ?? "");
    return this.#world.chance(this.faults)
      ? this.#wrong(path, range, signal)
      : this.#right(path, range, signal);
  };

  #right(path: string, range: RegExpExecArray | null, signal: Signal, cut = Infinity): FetchAnswer {
    const file = this.#files.get(path);
    if (!file) return answer(404, {}, null);
    const { bytes, version } = file;
    const etag = { etag: `"${path}-${version}"` };
    if (!range) return answer(200, etag, this.#body(bytes, signal, cut));
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)];
    const part = bytes.subarray(start, end);
    const place = { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
    return answer(206, { ...etag, ...place }, this.#body(part, signal, cut));
  }

  #wrong(
    path: string,
    range: RegExpExecArray | null,
    signal: Signal,
  ): FetchAnswer | Promise<never> {
    switch (this.#world.random(8)) {
      case 0:
        throw new TypeError("fetch failed");
      case 1:
        return answer(503, { "retry-after": "2" }, null);
      case 2:
        return answer(429, {}, null);
      case 3:
        return this.#right(path, null, signal);
      case 4:
        return answer(200, {}, this.#body(PAGE, signal, Infinity));
      case 5:
        return new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      case 6:
        return answer(403, {}, null);
      default:
        return this.#right(path, range, signal, this.#world.random(3000));
    }
  }

  // Ends early, and sometimes breaks, after `cut` bytes.
  #body(bytes: Uint8Array, signal: Signal, cut: number): ReadableStream<Uint8Array<ArrayBuffer>> {
    const world = this.#world;
    const end = Math.min(bytes.length, cut);
    const size = 256 + world.random(60_000);
    let at = 0;
    return new ReadableStream(
      {
        pull: async (controller) => {
          await world.step("body");
          if (signal?.aborted) return controller.error(signal.reason);
          if (at >= end) {
            const breaks = end < bytes.length && world.chance(50);
            return breaks ? controller.error(new TypeError("terminated")) : controller.close();
          }
          const piece = bytes.slice(at, Math.min(at + size, end));
          at += piece.length;
          this.sentBytes += piece.length;
          controller.enqueue(piece);
        },
      },
      { highWaterMark: 0 },
    );
  }
}

type Signal = AbortSignal | null | undefined;

const PAGE = new TextEncoder().encode(`<!doctype html><html>${"<p>sign in</p>".repeat(50)}</html>`);

function answer(
  status: number,
  headers: Record<string, string>,
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
): FetchAnswer {
  return { status, headers: new Headers(headers), body, type: "basic" };
}
