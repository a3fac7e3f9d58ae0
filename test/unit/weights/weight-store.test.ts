import { describe, expect, test, vi } from "vitest";

import type { KeyValue } from "../../../src/weights/key-value.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { openStore } from "../../../src/weights/store.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { manifestOfShards } from "../../support/tiny-manifest.ts";
import { setRow } from "../../support/set-row.ts";

const BYTES = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const OTHER = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);

describe("shards", () => {
  test("come back as they were put", async () => {
    const store = memoryStore();
    const shard = await store.put(BYTES);
    expect(shard.bytes).toBe(8);
    expect(shard.hash).toMatch(/^66840dda/); // sha256 of 1..8
    expect(await store.get(shard)).toEqual(BYTES);
    expect(await store.has(shard.hash)).toBe(true);
    expect(await store.has("0".repeat(64))).toBe(false);
  });

  test("are written once, however often they are put", async () => {
    const { rows, written } = counting();
    const store = new WeightStore(rows, "memory");
    await store.put(BYTES);
    await store.put(BYTES);
    expect(written()).toBe(2); // the bytes and their index row
    expect(await store.usage()).toEqual({ shards: 1, bytes: 8 });
  });

  test("and their journal are one transaction", async () => {
    const { rows, transactions } = counting();
    const store = new WeightStore(rows, "memory");
    await store.put(BYTES, {
      journal: (shard) => ["key", { plan: "p", shards: [shard], updatedAt: 1 }],
    });
    expect(transactions()).toBe(1);
    expect((await store.readJournal("key"))?.shards.length).toBe(1);
  });

  test.each([
    ["a flipped bit", new Blob([Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 9)])],
    ["a cut end", new Blob([BYTES.subarray(0, 7)])],
    ["a missing row", undefined],
    ["a row of another type", "bytes"],
    ["a file that the browser lost", lostBlob()],
  ])("with %s are reported as corrupt", async (_, row) => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const shard = await store.put(BYTES);
    await setRow(rows, `shard:${shard.hash}`, row);
    await expect(store.get(shard)).rejects.toMatchObject({
      code: "weights-corrupt",
      details: { shards: [shard.hash] },
    });
  });

  test("that are never read are reported as corrupt, too", async () => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const shard = await store.put(BYTES);
    const silent = new Blob([BYTES]);
    silent.arrayBuffer = () => new Promise(() => undefined);
    await setRow(rows, `shard:${shard.hash}`, silent);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const reading = expect(store.get(shard)).rejects.toMatchObject({ code: "weights-corrupt" });
    await vi.advanceTimersByTimeAsync(40_000); // it is tried twice
    await reading;
    vi.useRealTimers();
  });

  test("that cannot be read once, by an accident, are read again and cost no network", async () => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const shard = await store.put(BYTES);
    const blob = new Blob([BYTES]);
    const read = vi.spyOn(blob, "arrayBuffer");
    read.mockRejectedValueOnce(new DOMException("", "UnknownError"));
    await setRow(rows, `shard:${shard.hash}`, blob);
    expect(await store.get(shard)).toEqual(BYTES);
    read.mockRejectedValueOnce(new DOMException("", "NotReadableError")); // its file is lost
    await expect(store.get(shard)).rejects.toMatchObject({ code: "weights-corrupt" });
  });

  test("can be replaced when they are damaged", async () => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const shard = await store.put(BYTES);
    await setRow(rows, `shard:${shard.hash}`, new Blob([OTHER]));
    await store.put(BYTES, { replace: true });
    expect(await store.get(shard)).toEqual(BYTES);
  });
});

describe("failures of the database", () => {
  test("a full disk is quota-exceeded and damages nothing", async () => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const shard = await store.put(BYTES);
    const full = failing(rows, new DOMException("", "QuotaExceededError"));
    const outcome = new WeightStore(full, "memory").put(OTHER);
    await expect(outcome).rejects.toMatchObject({
      code: "quota-exceeded",
      details: { neededBytes: OTHER.length },
    });
    const manifest = manifestOfShards("a", [shard]);
    const installing = new WeightStore(full, "memory").writeManifest(manifest);
    await expect(installing).rejects.toMatchObject({
      code: "quota-exceeded",
      details: { neededBytes: JSON.stringify(manifest).length },
    });
    expect(await store.get(shard)).toEqual(BYTES);
  });

  test("a disk that is really full is, too", async () => {
    const error = new DOMException("Failed to write blobs (IOError)", "DataError");
    const outcome = new WeightStore(failing(memoryKeyValue(), error), "memory").put(BYTES);
    await expect(outcome).rejects.toMatchObject({ code: "quota-exceeded", cause: error });
  });

  test("anything else is storage-unavailable", async () => {
    const broken = failing(memoryKeyValue(), new DOMException("x", "InvalidStateError"));
    const outcome = new WeightStore(broken, "memory").put(BYTES);
    await expect(outcome).rejects.toMatchObject({ code: "storage-unavailable" });
  });

  test("without IndexedDB the store lives in memory and says so", async () => {
    const store = await openStore();
    expect(store.kind).toBe("memory");
    expect(store.note).toMatch(/until the model is disposed of or the page closes/);
    expect(await store.get(await store.put(BYTES))).toEqual(BYTES);
  });
});

describe("models", () => {
  test("are listed by their last use, without reading their manifests", async () => {
    const store = memoryStore();
    const [a, b] = [await install(store, "a", [BYTES]), await install(store, "b", [OTHER])];
    await store.touch(a.key);
    const models = await store.list();
    expect(models.map(({ key }) => key)).toEqual([a.key, b.key]);
    expect(models[0]).toMatchObject({ source: "me/a", totalBytes: 8, quantization: "q4" });
  });

  test("share shards, which go with the last of them", async () => {
    const store = memoryStore();
    const a = await install(store, "a", [BYTES]);
    const b = await install(store, "b", [BYTES, OTHER]);
    await store.remove(b.key);
    expect(await store.usage()).toEqual({ shards: 1, bytes: 8 });
    expect(await store.readManifest(b.key)).toBeUndefined();
    await store.remove(a.key);
    expect(await store.usage()).toEqual({ shards: 0, bytes: 0 });
    expect(await store.list()).toEqual([]);
  });

  test("end their journal when they are installed", async () => {
    const store = memoryStore();
    const journal = { plan: "p", shards: [], updatedAt: Date.now() };
    await store.put(BYTES, { journal: () => ["a", journal] });
    await install(store, "a", [BYTES]);
    expect(await store.readJournal("a")).toBeUndefined();
  });

  test("whose manifest is damaged are not installed", async () => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const manifest = await install(store, "a", [BYTES]);
    await setRow(rows, `manifest:a`, { ...manifest, version: 99 });
    expect(await store.readManifest("a")).toBeUndefined();
  });

  test("whose stored manifest has one other bit are not installed", async () => {
    const rows = memoryKeyValue();
    const store = new WeightStore(rows, "memory");
    const manifest = await install(store, "a", [BYTES]);
    await setRow(rows, "manifest:a", { ...manifest, files: { "config.json": "{ " } });
    expect(await store.readManifest("a")).toBeUndefined();
  });

  test("are not installed while a shard of theirs is gone", async () => {
    const store = memoryStore();
    const [kept, lost] = [await store.put(BYTES), await store.put(OTHER)];
    const manifest = manifestOfShards("a", [kept, lost]);
    await store.removeOrphans(); // another tab
    await store.put(BYTES);
    await expect(store.writeManifest(manifest)).rejects.toMatchObject({
      code: "weights-corrupt",
      details: { shards: [lost.hash] },
    });
    expect(await store.list()).toEqual([]);
  });

  test("make room when they were not used for the longest time, unless they are pinned", async () => {
    const store = memoryStore();
    const third = Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9);
    await install(store, "old", [BYTES]);
    await install(store, "older", [OTHER]);
    await install(store, "oldest", [third]);
    await store.pin("oldest", true);
    await later(() => store.touch("older"));
    await later(() => store.touch("old"));
    const removed = await store.makeRoom(1);
    expect(removed.map(({ key }) => key)).toEqual(["older"]);
    expect((await store.list()).map(({ key }) => key)).toEqual(["old", "oldest"]);
    expect((await store.makeRoom(1e9)).map(({ key }) => key)).toEqual(["old"]);
    await store.pin("oldest", false);
    expect((await store.makeRoom(1)).map(({ key }) => key)).toEqual(["oldest"]);
    expect(await store.usage()).toEqual({ shards: 0, bytes: 0 });
  });

  test("of which one row is lost go with their shards, as does a journal from the future", async () => {
    for (const lost of ["info", "manifest"]) {
      const rows = memoryKeyValue();
      const store = new WeightStore(rows, "memory");
      await install(store, "a", [BYTES]);
      await install(store, "b", [OTHER]);
      await rows.change(async () => ({ remove: [`${lost}:a`] }));
      await store.writeJournal("c", { plan: "p", shards: [], updatedAt: Date.now() + 1e10 });
      await store.removeOrphans();
      expect((await rows.keys()).filter((key) => /:[ac]$/.test(key))).toEqual([]);
      expect(await store.usage()).toEqual({ shards: 1, bytes: OTHER.length });
      expect((await store.list()).map(({ key }) => key)).toEqual(["b"]);
    }
  });

  test("clear removes everything", async () => {
    const store = memoryStore();
    await install(store, "a", [BYTES]);
    await store.clear();
    expect(await store.usage()).toEqual({ shards: 0, bytes: 0 });
  });
});

describe("two tabs", () => {
  test("that import the same never shorten each other's journal", async () => {
    const rows = memoryKeyValue();
    const [fast, slow] = [new WeightStore(rows, "memory"), new WeightStore(rows, "memory")];
    const refs = [await fast.put(BYTES), await fast.put(OTHER)];
    const write = (store: WeightStore, count: number, bytes: Uint8Array<ArrayBuffer>) =>
      store.put(bytes, {
        journal: () => ["key", { plan: "p", shards: refs.slice(0, count), updatedAt: count }],
      });
    await write(fast, 2, OTHER);
    await write(slow, 1, BYTES);
    expect((await slow.readJournal("key"))?.shards).toEqual(refs);
    await slow.put(BYTES, { journal: () => ["key", { plan: "q", shards: [], updatedAt: 1 }] });
    expect((await slow.readJournal("key"))?.plan).toBe("q");
  });
});

describe("removeOrphans", () => {
  test("keeps shards of imports under way, drops those given up", async () => {
    const store = memoryStore();
    const now = Date.now();
    await store.put(BYTES, {
      journal: (shard) => ["young", { plan: "p", shards: [shard], updatedAt: now }],
    });
    await store.put(OTHER, {
      journal: (shard) => ["old", { plan: "p", shards: [shard], updatedAt: now - 8 * 86_400_000 }],
    });
    await store.removeOrphans(now);
    expect(await store.usage()).toEqual({ shards: 1, bytes: 8 });
    expect(await store.readJournal("young")).toBeDefined();
    expect(await store.readJournal("old")).toBeUndefined();
  });
});

// Two uses in the same millisecond have no order.
async function later(use: () => Promise<void>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  await use();
}

function memoryStore(): WeightStore {
  return new WeightStore(memoryKeyValue(), "memory");
}

async function install(
  store: WeightStore,
  key: string,
  contents: readonly Uint8Array<ArrayBuffer>[],
): Promise<Manifest> {
  const shards = [];
  for (const bytes of contents) shards.push(await store.put(bytes));
  const manifest = manifestOfShards(key, shards);
  await store.writeManifest(manifest);
  return manifest;
}

function counting() {
  const inner = memoryKeyValue();
  let [rowCount, transactionCount] = [0, 0];
  const rows: KeyValue = {
    ...inner,
    change: (decide) => {
      transactionCount++;
      return inner.change(async (now) => {
        const change = await decide(now);
        rowCount += change.put?.length ?? 0;
        return change;
      });
    },
  };
  return { rows, written: () => rowCount, transactions: () => transactionCount };
}

function failing(rows: KeyValue, error: Error): KeyValue {
  return { ...rows, change: () => Promise.reject(error) };
}

function lostBlob(): Blob {
  const blob = new Blob([BYTES]);
  blob.arrayBuffer = () => Promise.reject(new DOMException("", "NotReadableError"));
  return blob;
}
