// A page of a simulated world that stores and reads models as the loader worker does, on the shared rows.
import { ModelError } from "../../../src/base/errors.ts";
import { storeOnce } from "../../../src/engine/store-once.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint, repairShards } from "../../../src/weights/import-checkpoint.ts";
import type { Locks } from "../../../src/weights/import-lock.ts";
import type { KeyValue, RowChange } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import {
  installPacked,
  readPackedManifest,
  repairPacked,
} from "../../../src/weights/packed-model.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import type { CheckpointSource } from "../../../src/weights/source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { FakeLocks } from "../../support/fake-locks.ts";
import type { Network } from "./network.ts";
import type { SimModel } from "./models.ts";
import { SIM_SHARD_BYTES } from "./models.ts";
import type { Page, World } from "./world.ts";

/** What all tabs of a world share. */
export interface Shared {
  readonly world: World;
  readonly network: Network;
  readonly rows: KeyValue;
  /** Absent: the browser has none. */
  readonly locks: FakeLocks | undefined;
  /** Shards whose write was reported as done. */
  readonly acknowledged: Set<string>;
  /** Acknowledged shards that were deleted; they may have come back since. */
  readonly lost: Set<string>;
  /** True while the disk is full. */
  isFull: boolean;
  /** Chance of an accident of the database at one operation, in a hundred. */
  accidents: number;
}

/** One page. */
export class Tab {
  readonly page: Page;
  readonly store: WeightStore;
  readonly #shared: Shared;
  readonly #locks: (Locks & { readonly die: () => void }) | undefined;

  constructor(name: string, shared: Shared) {
    this.page = { name, isDead: false, frozenUntil: 0 };
    this.#shared = shared;
    this.store = new WeightStore(this.#rows(), "indexeddb");
    this.#locks = shared.locks && this.#openLocks(shared.locks);
  }

  /** Ends as a crashed page ends. */
  die(): void {
    this.#shared.world.kill(this.page);
    this.#locks?.die();
  }

  /** Stores a model unless it is stored, reads all of it, and repairs it once where that is needed. */
  async load(model: SimModel, signal: AbortSignal): Promise<Manifest> {
    const { world, network } = this.#shared;
    const pause = async (ms: number): Promise<void> => {
      await world.sleep(ms);
      signal.throwIfAborted();
    };
    const source = await openSource(
      { kind: "url", url: model.url },
      { fetch: network.fetch, pause },
    );
    const once = { key: model.name, store: this.store, signal, onProgress: () => undefined };
    // Node may have locks of its own: these are the world's, or none.
    const locks = this.#locks ?? NO_LOCKS;
    const { manifest } = await storeOnce({ ...once, locks }, () =>
      this.#fetch(model, source, signal),
    );
    try {
      await this.read(manifest);
    } catch (error) {
      if (!ModelError.isModelError(error) || error.code !== "weights-corrupt") throw error;
      await this.#repair(model, manifest, source, signal);
      await this.read(manifest);
    }
    source.close();
    return manifest;
  }

  /** Every byte of a stored model. */
  async read(manifest: Manifest): Promise<void> {
    for await (const part of readTensors(this.store, manifest)) void part;
  }

  async #fetch(
    { name: key, isPacked, declarations }: SimModel,
    source: CheckpointSource,
    signal: AbortSignal,
  ): Promise<Manifest> {
    const { store } = this;
    if (isPacked) {
      const manifest = await readPackedManifest(source, { key, quantization: "q4" }, { signal });
      return installPacked({ manifest, source, store, signal });
    }
    const checkpoint = await openCheckpoint(source, { signal });
    const what = { key, checkpoint, declarations, quantization: "q4", family: "tiny" } as const;
    return importCheckpoint({ ...what, files: {}, store, signal, shardBytes: SIM_SHARD_BYTES });
  }

  async #repair(
    { isPacked }: SimModel,
    manifest: Manifest,
    source: CheckpointSource,
    signal: AbortSignal,
  ): Promise<void> {
    const { store } = this;
    const hashes: string[] = [];
    for (const shard of manifest.shards) {
      const isRight = await store.get(shard).then(
        () => true,
        () => false,
      );
      if (!isRight) hashes.push(shard.hash);
    }
    if (isPacked) return repairPacked({ manifest, hashes, source, store, signal });
    return repairShards({ manifest, hashes, sources: { "": source }, store, signal });
  }

  // A lock that another page gives back is this page's when its turn comes.
  #openLocks(shared: FakeLocks): Locks & { readonly die: () => void } {
    const { request, die } = shared.openTab();
    const { world } = this.#shared;
    const take = (name: string, options: LockOptions, work: LockGrantedCallback<unknown>) =>
      request(name, options, async (lock) => {
        await world.step("lock", this.page);
        return work(lock);
      });
    return { request: take as Locks["request"], die };
  }

  // A transaction may be lost with the page before it is committed, or its end may never be heard of.
  #rows(): KeyValue {
    const { world, rows, acknowledged, lost } = this.#shared;
    const get = async (key: string): Promise<unknown> => {
      await world.step(`get ${key.slice(0, 20)}`);
      this.#accident();
      return rows.get(key);
    };
    return {
      get,
      keys: async () => {
        await world.step("keys");
        this.#accident();
        return rows.keys();
      },
      change: async (decide) => {
        await world.step("begin");
        this.#accident();
        let made: RowChange = {};
        await rows.change(async (now) => {
          made = await decide(now);
          if (this.#shared.isFull && (made.put?.length ?? 0) > 0) {
            throw new DOMException("", "QuotaExceededError");
          }
          return made;
        });
        for (const key of made.remove ?? []) if (acknowledged.has(key)) lost.add(key);
        await world.step("commit");
        for (const [key] of made.put ?? []) if (key.startsWith("shard:")) acknowledged.add(key);
      },
    };
  }

  #accident(): void {
    const { world, accidents } = this.#shared;
    if (world.chance(accidents)) throw new DOMException("", "UnknownError");
  }
}

const NO_LOCKS: Locks = {
  request: () => Promise.reject(new DOMException("", "SecurityError")),
};
