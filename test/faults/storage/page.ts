// The page of the rigs that kill browsers, tabs and files: models of many small shards in the real store, brought
// and read as the loader worker does it. The rigs drive it with Playwright.
import { ModelError } from "../../../src/base/errors.ts";
import { storeOnce } from "../../../src/engine/store-once.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { sha256 } from "../../../src/weights/hash.ts";
import { importCheckpoint, repairShards } from "../../../src/weights/import-checkpoint.ts";
import type { Manifest, ShardRef } from "../../../src/weights/manifest.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import type { CheckpointSource } from "../../../src/weights/source.ts";
import { openStore } from "../../../src/weights/store.ts";
import { declare } from "../../support/tiny-checkpoint.ts";

/** A model that was read to its end. */
export interface ReadModel {
  /** SHA-256 of all its weights. */
  readonly hash: string;
  readonly shards: number;
  /** Shards that had to be fetched again. */
  readonly repaired: number;
}

/** What the rigs call. A key is where a model is stored; its name, a folder of the server. */
export interface StoragePage {
  /** Stores a model unless one is stored under the key, reads all of it, and repairs what is damaged. */
  load(name: string, key: string): Promise<ReadModel>;
  /** Stores a model under the key, whatever is stored there. */
  replace(name: string, key: string): Promise<void>;
  pin(key: string): Promise<void>;
  /** Deletes what is not pinned. */
  makeRoom(): Promise<void>;
  clear(): Promise<void>;
  /** Hashes of installed models by key, or the code of the error that reading one ended in. */
  inspect(): Promise<Record<string, string>>;
  /** Those of the shards that are not there as they should be. */
  missing(shards: readonly ShardRef[]): Promise<string[]>;
  /** Deletes what belongs to no model. Returns the bytes that are left of it. */
  removeOrphans(): Promise<number>;
}

declare global {
  /** Called by the rigs. */
  var storage: StoragePage | undefined;
  /** A rig's: told of a shard the moment its write was reported as done. */
  var acknowledge: ((shard: ShardRef) => Promise<void>) | undefined;
}

/** One tensor of serve-models.mjs, quantized: 512 x 128 bytes, and a scale of two bytes for 32 of them. */
const SHARD_BYTES = 68 * 1024;

const store = await openStore({ name: "web-umm-faults" });
const put = store.put.bind(store);
store.put = async (...parameters) => {
  const shard = await put(...parameters);
  void globalThis.acknowledge?.(shard);
  return shard;
};

globalThis.storage = {
  async load(name, key) {
    const source = await open(name);
    const { signal } = new AbortController();
    try {
      const once = { key, store, signal, onProgress: () => undefined };
      const { manifest } = await storeOnce(once, () => bring(source, key));
      return await readRepaired(manifest, source);
    } finally {
      source.close();
    }
  },
  async replace(name, key) {
    const source = await open(name);
    await bring(source, key);
    source.close();
  },
  pin: (key) => store.pin(key, true),
  async makeRoom() {
    await store.makeRoom(Infinity);
  },
  clear: () => store.clear(),
  async inspect() {
    const found: Record<string, string> = {};
    for (const { key } of await store.list()) found[key] = await hashOrCode(key);
    return found;
  },
  async missing(shards) {
    const missing: string[] = [];
    for (const shard of shards) await store.get(shard).catch(() => missing.push(shard.hash));
    return missing;
  },
  async removeOrphans() {
    await store.removeOrphans();
    return (await store.usage()).bytes - (await modelBytes());
  },
};

function open(name: string): Promise<CheckpointSource> {
  return openSource({ kind: "url", url: new URL(`./models/${name}/`, document.baseURI).href });
}

async function bring(source: CheckpointSource, key: string): Promise<Manifest> {
  const checkpoint = await openCheckpoint(source);
  const declarations = [...checkpoint.tensors]
    .filter(([name]) => name.startsWith("weight."))
    .map(([name, { shape }]) => declare(name, shape, "linear"));
  const what = { key, checkpoint, declarations, quantization: "q8", family: "none" } as const;
  return importCheckpoint({ ...what, files: {}, store, shardBytes: SHARD_BYTES });
}

async function readRepaired(manifest: Manifest, source: CheckpointSource): Promise<ReadModel> {
  const shards = manifest.shards.length;
  for (let repaired = 0; ;) {
    try {
      return { hash: await hashOf(manifest), shards, repaired };
    } catch (error) {
      const hashes = ModelError.isModelError(error) ? error.details["shards"] : undefined;
      if (!Array.isArray(hashes) || hashes.length === 0) throw error;
      await repairShards({ manifest, hashes, sources: { "": source }, store });
      repaired += hashes.length;
    }
  }
}

async function hashOf(manifest: Manifest): Promise<string> {
  const hashes: string[] = [];
  for await (const { name, bytes } of readTensors(store, manifest)) {
    hashes.push(`${name} ${await sha256(bytes.slice())}`);
  }
  return sha256(hashes.join("\n"));
}

async function hashOrCode(key: string): Promise<string> {
  const manifest = await store.readManifest(key);
  if (!manifest) return "no manifest";
  return hashOf(manifest).catch((error: unknown) =>
    ModelError.isModelError(error) ? error.code : String(error),
  );
}

async function modelBytes(): Promise<number> {
  const bytes = new Map<string, number>();
  for (const { key } of await store.list()) {
    const manifest = await store.readManifest(key);
    for (const shard of manifest?.shards ?? []) bytes.set(shard.hash, shard.bytes);
  }
  return [...bytes.values()].reduce((sum, count) => sum + count, 0);
}
