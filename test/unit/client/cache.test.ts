import { proxy } from "comlink";
import { describe, expect, test } from "vitest";
import { cache } from "../../../src/client/cache.ts";
import { withLoader } from "../../../src/client/shared-loader.ts";
import { Loader } from "../../../src/engine/loader.ts";
import { fakeLoader } from "../../support/fake-loader.ts";
import { fakeWorker } from "../../support/fake-worker.ts";
import type { FakeWorker } from "../../support/fake-worker.ts";

function factory(): { loader: () => FakeWorker; started: FakeWorker[] } {
  const started: FakeWorker[] = [];
  const parts = fakeLoader();
  const loader = (): FakeWorker => {
    const worker = fakeWorker(new Loader(parts));
    started.push(worker);
    return worker;
  };
  return { loader, started };
}

async function store(loader: () => Worker, id: string): Promise<void> {
  const location = { kind: "hub", id, revision: "main" } as const;
  const request = { location, companions: {}, quantization: "q4" } as const;
  const ignore = proxy(() => undefined);
  await withLoader(loader, (handle) =>
    handle.call((remote, signal) => remote.importModel(request, ignore, signal)),
  );
}

describe("cache", () => {
  test("lists, measures, deletes and clears, and leaves no worker behind", async () => {
    const { loader, started } = factory();
    const options = { workers: { loader } };
    expect(await cache.list(options)).toEqual([]);
    await store(loader, "a/one");
    await store(loader, "a/two");
    expect(await cache.list(options)).toMatchObject([{ id: "a/one" }, { id: "a/two" }]);
    expect(await cache.usage(options)).toMatchObject({ modelBytes: 12, quotaBytes: 1000 });
    expect(await cache.delete("a/oneq4", options)).toBe(true);
    expect(await cache.delete("a/oneq4", options)).toBe(false);
    await cache.clear(options);
    expect(await cache.list(options)).toEqual([]);
    await expect.poll(() => started.every(({ isTerminated }) => isTerminated)).toBe(true);
  });

  test("makes room, but not of what is pinned", async () => {
    const { loader } = factory();
    const options = { workers: { loader } };
    await store(loader, "a/one");
    await store(loader, "a/two");
    expect(await cache.pin("a/twoq4", true, options)).toBe(true);
    expect(await cache.pin("a/none", true, options)).toBe(false);
    expect(await cache.makeRoom(5, options)).toMatchObject([{ id: "a/one" }]);
    expect(await cache.list(options)).toMatchObject([{ id: "a/two", isPinned: true }]);
    await expect(cache.makeRoom(0, options)).rejects.toThrow(RangeError);
  });

  test("shares one worker between calls at the same time", async () => {
    const { loader, started } = factory();
    const options = { workers: { loader } };
    await Promise.all([cache.list(options), cache.usage(options)]);
    expect(started.length).toBe(1);
    await cache.list(options);
    expect(started.length).toBe(2);
  });

  test("rejects with the reason of its signal", async () => {
    const { loader } = factory();
    const options = { workers: { loader }, signal: AbortSignal.abort("stop") };
    await expect(cache.list(options)).rejects.toBe("stop");
  });
});

describe("withLoader", () => {
  test("a crash rejects all who share the worker; the next gets a new one", async () => {
    const { loader, started } = factory();
    const wait = (): Promise<unknown> =>
      withLoader(loader, (handle) => handle.call(() => new Promise(() => undefined)));
    const outcomes = Promise.allSettled([wait(), wait()]);
    await expect.poll(() => started.length).toBe(1);
    await withLoader(loader, async () => started[0]?.crash("no memory"));
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { code: "storage-unavailable" } });
    }
    expect(await cache.list({ workers: { loader } })).toEqual([]);
    expect(started.length).toBe(2);
  });
});
