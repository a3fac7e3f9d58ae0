import { expose, wrap } from "comlink";
import { afterEach, describe, expect, test, vi } from "vitest";
import { installWire } from "../../../src/base/wire.ts";
import type { FetchAnswer, FetchLike, LentFetch } from "../../../src/base/wire-fetch.ts";
import { collectGarbage } from "../../support/collect-garbage.ts";
import { borrowFetch, lendFetch } from "../../../src/base/wire-fetch.ts";

const ports: MessagePort[] = [];
afterEach(() => ports.splice(0).forEach((port) => port.close()));

/** The fetch as a worker sees it. */
function across(fetch: FetchLike, ending = new AbortController().signal): FetchLike {
  installWire();
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  expose(lendFetch(fetch, ending), port1);
  return borrowFetch(wrap<LentFetch>(port2));
}

async function read(body: FetchAnswer["body"]): Promise<string> {
  return new Response(body).text();
}

describe("borrowFetch", () => {
  test("passes url, headers and init, and gives status, headers and body back", async () => {
    let seen: [string, RequestInit] | undefined;
    const fetch = across(async (url, init) => {
      seen = [url, init];
      return new Response("hello", { status: 206, headers: { ETag: '"1"' } });
    });
    const init = { headers: { Range: "bytes=0-4" }, cache: "no-store" } as const;
    const answer = await fetch("https://a.example/x", init);
    expect(seen?.[0]).toBe("https://a.example/x");
    expect(seen?.[1]).toMatchObject({ cache: "no-store", headers: [["range", "bytes=0-4"]] });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("etag")).toBe('"1"');
    expect(await read(answer.body)).toBe("hello");
  });

  test("reads the body only as far as it is asked for", async () => {
    let pulled = 0;
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>(
      { pull: (controller) => controller.enqueue(Uint8Array.of((pulled += 1))) },
      { highWaterMark: 0 },
    );
    const fetch = across(async () => new Response(source));
    const reader = (await fetch("https://a.example/endless", {})).body?.getReader();
    expect((await reader?.read())?.value).toEqual(Uint8Array.of(1));
    expect((await reader?.read())?.value).toEqual(Uint8Array.of(2));
    await reader?.cancel();
    expect(pulled).toBe(2);
  });

  test("reads a body although nothing but its reader is held", async () => {
    let left = 3;
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve));
        collectGarbage();
        if (left === 0) controller.close();
        else controller.enqueue(Uint8Array.of((left -= 1)));
      },
    });
    const { body } = await across(async () => new Response(source))("https://a.example/x", {});
    expect(new Uint8Array(await new Response(body).arrayBuffer())).toEqual(Uint8Array.of(2, 1, 0));
  });

  test("rejects as the lent fetch does", async () => {
    const fetch = across(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(fetch("https://a.example/x", {})).rejects.toThrow(TypeError);
  });

  test("aborts the lent fetch", async () => {
    const fetch = across(
      (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        }),
    );
    const controller = new AbortController();
    const answer = fetch("https://a.example/x", { signal: controller.signal });
    setTimeout(() => controller.abort());
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("lendFetch, over", () => {
  test("ends requests that are under way, and refuses later ones", async () => {
    const end = new AbortController();
    const seen: AbortSignal[] = [];
    const fetch = across((_, { signal }) => {
      if (signal) seen.push(signal);
      signal?.throwIfAborted();
      return new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
      });
    }, end.signal);
    const early = fetch("https://a.example/x", {});
    const outcome = expect(early).rejects.toMatchObject({ name: "AbortError" });
    await vi.waitFor(() => expect(seen.length).toBe(1));
    end.abort();
    await outcome;
    await expect(fetch("https://a.example/y", {})).rejects.toMatchObject({ name: "AbortError" });
  });

  test.each(["begun", "not begun"])("lets a body go whose reading is %s", async (reading) => {
    const end = new AbortController();
    const cancel = vi.fn();
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>(
      { pull: (controller) => controller.enqueue(Uint8Array.of(1)), cancel },
      { highWaterMark: 0 },
    );
    const { body } = await across(async () => new Response(source), end.signal)(
      "https://a.example/x",
      {},
    );
    if (reading === "begun") await body?.getReader().read();
    expect(cancel).not.toHaveBeenCalled();
    end.abort();
    expect(cancel).toHaveBeenCalledTimes(1);
  });

  test("lets an answer go that comes too late", async () => {
    const end = new AbortController();
    const cancel = vi.fn();
    const fetch = across(async () => {
      end.abort();
      return new Response(new ReadableStream({ cancel }));
    }, end.signal);
    await fetch("https://a.example/x", {});
    expect(cancel).toHaveBeenCalledTimes(1);
  });
});
