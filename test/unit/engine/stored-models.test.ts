import { beforeEach, describe, expect, test, vi } from "vitest";
import { loaderParts } from "../../../src/engine/stored-models.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { MANIFEST_VERSION } from "../../../src/weights/manifest.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { openHandedStore } from "../../../src/weights/store.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { folderFiles } from "../../support/folder-files.ts";

let store: WeightStore;

async function install(key: string, source: string): Promise<void> {
  const shard = await store.put(new Uint8Array([1, 2, 3]));
  await store.writeManifest({
    version: MANIFEST_VERSION,
    key,
    source,
    revision: "c0ffee",
    family: "janus-flow",
    quantization: "q4",
    companions: {},
    files: {},
    tensors: [],
    recipes: [],
    shardBytes: 3,
    shards: [shard],
    totalBytes: 3,
    createdAt: 1000,
  });
}

beforeEach(async () => {
  store = new WeightStore(memoryKeyValue(), "memory");
  await install("one", "owner/name@main");
  await install("two", "owner/name@v2");
  await install("three", "https://host.example/folder");
});

describe("loaderParts", () => {
  test("gives up what no model names and no download is going on with", async () => {
    await store.put(new Uint8Array([9, 9, 9, 9]));
    expect((await store.usage()).shards).toBe(2);
    await loaderParts(async () => store).listModels();
    expect((await store.usage()).shards).toBe(1);
  });

  test("lists stored models as an application knows them", async () => {
    const [first] = await loaderParts(async () => store).listModels();
    expect(first).toMatchObject({
      key: expect.any(String),
      id: expect.any(String),
      revision: "c0ffee",
      storedBytes: 3,
      storedAt: 1000,
    });
  });

  test.each([
    ["one", 1],
    ["owner/name", 1],
    ["owner/name@v2", 1],
    ["https://host.example/folder", 1],
    ["owner", 0],
  ])("removes %s: %i", async (name, count) => {
    const parts = loaderParts(async () => store);
    expect(await parts.removeModels(name)).toBe(count);
    expect((await parts.listModels()).length).toBe(3 - count);
  });

  test("pins by id, and makes room of the rest", async () => {
    const parts = loaderParts(async () => store);
    expect(await parts.pinModels("owner/name", true)).toBe(1);
    const removed = await parts.makeRoom(1);
    expect(removed.map(({ key }) => key).toSorted()).toEqual(["three", "two"]);
    expect(await parts.listModels()).toMatchObject([{ key: "one", isPinned: true }]);
  });

  test.each<[string, Partial<StorageManager>]>([
    ["nothing", {}],
    ["no answer", { estimate: () => new Promise(() => undefined) }],
    ["a failure", { estimate: () => Promise.reject(new TypeError("no")) }],
    ["infinity", { estimate: async () => ({ usage: 0, quota: Infinity }) }],
  ])("measures where the browser's estimate is %s", async (_, storage) => {
    vi.stubGlobal("navigator", { storage });
    const usage = await loaderParts(async () => store).measureUsage();
    vi.unstubAllGlobals();
    expect(usage).toMatchObject({ modelBytes: 3, isPersistent: false });
  });

  test("counts bytes that models share once, and none after clearing", async () => {
    const parts = loaderParts(async () => store);
    expect((await parts.measureUsage()).modelBytes).toBe(3);
    await parts.clearModels();
    expect((await parts.measureUsage()).modelBytes).toBe(0);
  });

  test("has nothing to tell where the browser keeps nothing", async () => {
    // Node has no IndexedDB: the store of the browser falls back to memory.
    await expect(loaderParts().listModels()).rejects.toMatchObject({ code: "storage-unavailable" });
  });

  test("gives the model itself to the engine where the browser keeps nothing", async () => {
    const folder = new URL("../../golden/janus-flow/a/checkpoint/", import.meta.url);
    const location = { kind: "files", files: folderFiles(folder) } as const;
    const request = { location, companions: {}, quantization: "q4" } as const;
    const { signal } = new AbortController();
    const outcome = await loaderParts().importModel(request, {
      onProgress: () => undefined,
      signal,
    });
    // As it crosses to the other worker.
    const handed = structuredClone(outcome.handed);
    if (!handed) throw new Error("nothing was handed over");
    expect(handed.note).toMatch(/IndexedDB cannot be used/);
    const there = openHandedStore(handed);
    const manifest = await there.readManifest(outcome.manifestKey);
    if (!manifest) throw new Error("no manifest came");
    let bytes = 0;
    for await (const part of readTensors(there, manifest)) bytes += part.bytes.length;
    expect(bytes).toBe(outcome.storedBytes);
  });
});
