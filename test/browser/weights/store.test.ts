// The store over the browser's own IndexedDB: damage on disk, a database that vanishes, a full disk, and a
// second load that needs no network.
import { afterEach, describe, expect, test, vi } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import { openCheckpoint, readSideFiles } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint, repairShards } from "../../../src/weights/import-checkpoint.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { manifestKey } from "../../../src/weights/manifest.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { openStore } from "../../../src/weights/store.ts";
import type { WeightStore } from "../../../src/weights/weight-store.ts";
import { declare } from "../../support/tiny-checkpoint.ts";

const CHECKPOINT = "/test/golden/janus-flow/a/checkpoint";
const BYTES = new Uint8Array(100_000).map((_, i) => (i * 7) & 255);

// oxlint-disable-next-line no-restricted-globals -- the test damages what the store wrote
const database = indexedDB;
let count = 0;
let name = "";

afterEach(async () => {
  vi.restoreAllMocks();
  if (name !== "") await request(database.deleteDatabase(name));
  name = "";
});

describe("the store in IndexedDB", () => {
  test("keeps shards and manifests over connections", async () => {
    const first = await open();
    const manifest = await install(first);
    const second = await openStore({ name });
    expect(second.kind).toBe("indexeddb");
    expect(await second.readManifest(manifest.key)).toEqual(manifest);
    expect((await second.list()).map(({ key }) => key)).toEqual([manifest.key]);
    expect((await second.usage()).bytes).toBe(manifest.totalBytes);
  });

  test("writes strictly and a shard with its index row at once", async () => {
    const store = await open();
    const begin = vi.spyOn(IDBDatabase.prototype, "transaction");
    await store.put(BYTES);
    const writes = begin.mock.calls.filter(([, mode]) => mode === "readwrite");
    expect(writes.map(([, , options]) => options)).toEqual([{ durability: "strict" }]);
  });

  test("a second load asks the network for nothing", async () => {
    const manifest = await install(await open());
    const fetching = vi.spyOn(globalThis, "fetch");
    const store = await openStore({ name });
    const source = await openSource(parseSource(CHECKPOINT, location.href));
    const key = await manifestKey({ source: source.id, quantization: "q4" });
    const again = await store.readManifest(key);
    expect(again?.files["config.json"]).toContain("language_config");
    expect(await readAll(store, again ?? manifest)).toBe(manifest.tensors.length);
    expect(fetching).not.toHaveBeenCalled();
  });

  test("finds a flipped bit on disk and fetches the shard again", async () => {
    const store = await open();
    const manifest = await install(store);
    const hash = manifest.shards[1]?.hash ?? "";
    await flipBit(`shard:${hash}`);
    await expect(readAll(store, manifest)).rejects.toMatchObject({
      code: "weights-corrupt",
      details: { shards: [hash] },
    });
    const source = await openSource(parseSource(CHECKPOINT, location.href));
    await repairShards({ manifest, hashes: [hash], sources: { "": source }, store });
    expect(await readAll(store, manifest)).toBe(manifest.tensors.length);
  });

  test("a full disk is quota-exceeded, with numbers, and what was stored stays", async () => {
    const store = await open();
    const shard = await store.put(BYTES);
    failWrites("QuotaExceededError");
    const installing = install(store);
    await expect(installing).rejects.toMatchObject({ code: "quota-exceeded" });
    await expect(installing).rejects.toThrow(/0 of \d+ MiB are stored/);
    vi.restoreAllMocks();
    expect(await store.get(shard)).toEqual(BYTES);
    expect(await store.list()).toEqual([]);
  });

  test("a request's success does not count when its transaction fails", async () => {
    const store = await open();
    failWrites("UnknownError");
    await expect(store.put(BYTES)).rejects.toMatchObject({ code: "storage-unavailable" });
    vi.restoreAllMocks();
    expect(await store.usage()).toEqual({ shards: 0, bytes: 0 });
  });

  test("a change that is refused leaves everything as it was, and says why", async () => {
    const store = await open();
    const manifest = await install(store);
    await store.remove(manifest.key);
    await expect(store.writeManifest(manifest)).rejects.toMatchObject({
      code: "weights-corrupt",
      details: { shards: manifest.shards.map(({ hash }) => hash) },
    });
    expect(await store.list()).toEqual([]);
  });

  test("two connections that import the same at once end with the same rows", async () => {
    const [first, second] = [await open(), await openStore({ name })];
    const [manifest] = await Promise.all([install(first), install(second)]);
    expect((await second.usage()).shards).toBe(new Set(manifest.shards.map(hashOf)).size);
    await first.removeOrphans();
    expect(await readAll(second, manifest)).toBe(manifest.tensors.length);
  });

  test("a database that was deleted under it is an empty store", async () => {
    const store = await open();
    const manifest = await install(store);
    await request(database.deleteDatabase(name));
    expect(await store.readManifest(manifest.key)).toBeUndefined();
    expect(await store.get(await store.put(BYTES))).toEqual(BYTES);
  });

  test("a write whose database is closed under it ends at once, and the next one is done", async () => {
    const store = await open();
    closeSilently();
    await expect(store.put(BYTES)).rejects.toMatchObject({ code: "storage-unavailable" });
    vi.restoreAllMocks();
    expect(await store.get(await store.put(BYTES))).toEqual(BYTES);
  }, 10_000); // not after the minute that a silent database is given

  test("does not stand in the way of another version", async () => {
    const store = await open();
    const shard = await store.put(BYTES);
    const other = await request(database.open(name, 2));
    other.close();
    expect(await store.get(shard)).toEqual(BYTES);
  });

  test("lives in memory, and says why, where another version has changed the database", async () => {
    name = `store-test-${Date.now()}-${count++}`;
    const pending = database.open(name, 7);
    pending.addEventListener("upgradeneeded", () => pending.result.createObjectStore("other"));
    (await request(pending)).close();
    const store = await openStore({ name });
    expect(store.kind).toBe("memory");
    expect(store.note).toMatch(/another version of the library has changed it/);
    const same = await request(database.open(name));
    expect(same.version).toBe(7); // what the other version keeps there stays
    same.close();
  });

  test("lives in memory where the database never opens", async () => {
    vi.spyOn(IDBFactory.prototype, "open").mockImplementation(
      () => new EventTarget() as unknown as IDBOpenDBRequest,
    );
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const opening = openStore({ name: "never" });
    await vi.advanceTimersByTimeAsync(5_000);
    vi.useRealTimers();
    expect(await opening).toMatchObject({
      kind: "memory",
      note: expect.stringMatching(/another tab/),
    });
  });

  test("a read that fails by an accident is done again, with another connection", async () => {
    const store = await open();
    const shard = await store.put(BYTES);
    const opens = vi.spyOn(IDBFactory.prototype, "open");
    const get = vi.spyOn(IDBObjectStore.prototype, "get");
    const accident = (): never => {
      throw new DOMException("the storage process crashed", "UnknownError");
    };
    get.mockImplementationOnce(accident).mockImplementationOnce(accident);
    expect(await store.get(shard)).toEqual(BYTES);
    expect(opens).toHaveBeenCalledTimes(2);
    get.mockImplementation(accident);
    await expect(store.get(shard)).rejects.toMatchObject({ code: "storage-unavailable" });
  });

  test("a database that is silent is given up after a minute, and opened anew", async () => {
    const store = await open();
    const shard = await store.put(BYTES);
    const silent = Object.assign(new EventTarget(), {
      db: new EventTarget(),
      error: null,
      abort: () => undefined,
      objectStore: () => ({ get: () => new EventTarget() }),
    });
    vi.spyOn(IDBDatabase.prototype, "transaction").mockReturnValue(
      silent as unknown as IDBTransaction,
    );
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const reading = expect(store.get(shard)).rejects.toMatchObject({ code: "storage-unavailable" });
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    await reading;
    vi.restoreAllMocks();
    const opens = vi.spyOn(IDBFactory.prototype, "open");
    expect(await store.get(shard)).toEqual(BYTES);
    expect(opens).toHaveBeenCalledTimes(1);
  });

  test("lives in memory where IndexedDB cannot be opened", async () => {
    vi.spyOn(IDBFactory.prototype, "open").mockImplementation(() => {
      throw new DOMException("denied", "SecurityError");
    });
    const store = await openStore({ name: "never" });
    expect(store.kind).toBe("memory");
    expect(store.note).toMatch(/denied/);
    expect(await store.get(await store.put(BYTES))).toEqual(BYTES);
  });
});

function hashOf({ hash }: { readonly hash: string }): string {
  return hash;
}

async function open(): Promise<WeightStore> {
  name = `store-test-${Date.now()}-${count++}`;
  return openStore({ name });
}

// Four of the checkpoint's large matrices, in small shards.
async function install(store: WeightStore): Promise<Manifest> {
  const source = await openSource(parseSource(CHECKPOINT, location.href));
  const checkpoint = await openCheckpoint(source);
  const matrices = [...checkpoint.tensors].filter(([, { shape }]) => shape.length === 2);
  return importCheckpoint({
    key: await manifestKey({ source: source.id, quantization: "q4" }),
    checkpoint,
    declarations: matrices.map(([tensor, { shape }]) => declare(tensor, shape, "linear")),
    quantization: "q4",
    family: "janus-flow",
    files: await readSideFiles(source, [{ name: "config.json", isRequired: true }]),
    store,
    shardBytes: 32_768,
  });
}

async function readAll(store: WeightStore, manifest: Manifest): Promise<number> {
  let parts = 0;
  for await (const { bytes } of readTensors(store, manifest)) parts += bytes.length > 0 ? 1 : 0;
  return parts;
}

async function flipBit(key: string): Promise<void> {
  const connection = await request(database.open(name));
  const rows = connection.transaction("rows", "readwrite").objectStore("rows");
  const blob: Blob = await request(rows.get(key));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  const again = connection.transaction("rows", "readwrite").objectStore("rows");
  await request(again.put(new Blob([bytes]), key));
  connection.close();
}

// What Chromium does on a full disk: the request succeeds, then the transaction aborts.
function failWrites(error: string): void {
  // oxlint-disable-next-line typescript/unbound-method -- applied to the store that it is called on
  const put = IDBObjectStore.prototype.put;
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (
    this: IDBObjectStore,
    ...args
  ) {
    const pending = put.apply(this, args);
    const { transaction } = this;
    Object.defineProperty(transaction, "error", { value: new DOMException("", error) });
    pending.addEventListener("success", () => transaction.abort());
    return pending;
  });
}

// What Chromium does now and then when a site's data is cleared: the database closes, its transactions never end.
function closeSilently(): void {
  // oxlint-disable-next-line typescript/unbound-method -- applied to the database that it is called on
  const begin = IDBDatabase.prototype.transaction;
  vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementation(function (
    this: IDBDatabase,
    ...args
  ) {
    const transaction = begin.apply(this, args);
    transaction.addEventListener = () => undefined;
    setTimeout(() => this.dispatchEvent(new Event("close")));
    return transaction;
  });
}

function request<T>(pending: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    pending.addEventListener("success", () => resolve(pending.result));
    pending.addEventListener("error", () => reject(pending.error ?? new Error("IndexedDB failed")));
  });
}
