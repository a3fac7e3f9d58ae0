// THE CACHE of weights: shards under the hash of their bytes, manifests that name them, journals of
// imports that are under way. Every shard is checked against its hash each time it is read. Knows rows and
// hashes; knows neither IndexedDB (store.ts) nor how bytes were made.
import { fail, ModelError } from "../base/errors.ts";
import type { Quantization } from "../base/dtype.ts";
import { sha256 } from "./hash.ts";
import type { KeyValue } from "./key-value.ts";
import type { Manifest, ShardRef } from "./manifest.ts";
import { parseManifest } from "./manifest.ts";

/** What can be said about an installed model without reading its manifest. */
export interface InstalledModel {
  readonly key: string;
  readonly source: string;
  readonly revision: string;
  readonly family: string;
  readonly quantization: Quantization;
  readonly totalBytes: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
}

/** How far an import got. Shards are complete from the first one on. */
export interface Journal {
  /** Hash of everything that decides the bytes: another plan starts from zero. */
  readonly plan: string;
  readonly shards: readonly ShardRef[];
  readonly updatedAt: number;
}

/** Bytes that the store holds. */
export interface StoreUsage {
  readonly shards: number;
  readonly bytes: number;
}

/** Where the rows are kept. */
export type StoreKind = "indexeddb" | "memory";

/** An import that nobody continued for this long is given up. */
const JOURNAL_LIFE_MS = 7 * 24 * 3600 * 1000;

/** The store. Methods throw ModelError storage-unavailable when the database fails. */
export class WeightStore {
  readonly kind: StoreKind;
  /** Why nothing is kept beyond this page; undefined when it is. */
  readonly note: string | undefined;
  readonly #rows: KeyValue;

  constructor(rows: KeyValue, kind: StoreKind, note?: string) {
    this.#rows = rows;
    this.kind = kind;
    this.note = note;
  }

  /**
   * Stores a shard under its hash; one that is there already is not written again.
   *
   * @param options.journal - written in the same transaction: the import that the shard belongs to
   * @param options.replace - write even if there is one: it was found damaged
   * @throws ModelError quota-exceeded; what was stored before stays
   */
  async put(
    bytes: Uint8Array<ArrayBuffer>,
    options: {
      readonly journal?: (shard: ShardRef) => readonly [key: string, journal: Journal];
      readonly replace?: boolean;
    } = {},
  ): Promise<ShardRef> {
    const shard = { hash: await sha256(bytes), bytes: bytes.length };
    const rows: [string, unknown][] = [];
    if (options.replace || !(await this.has(shard.hash))) {
      rows.push([`shard:${shard.hash}`, new Blob([bytes])]);
      rows.push([`index:${shard.hash}`, { bytes: bytes.length, createdAt: Date.now() }]);
    }
    const [key, journal] = options.journal?.(shard) ?? [];
    if (key !== undefined) rows.push([`journal:${key}`, journal]);
    await this.#write(rows);
    return shard;
  }

  /** True when the shard is listed; whether its bytes are right shows when it is read. */
  async has(hash: string): Promise<boolean> {
    return (await this.#get(`index:${hash}`)) !== undefined;
  }

  /**
   * The bytes of a shard, checked.
   *
   * @throws ModelError weights-corrupt with `details.shards` = [hash]: call `repairShards`
   */
  async get({ hash, bytes }: ShardRef): Promise<Uint8Array<ArrayBuffer>> {
    const blob = await this.#readBlob(hash);
    if (!(blob instanceof Blob)) throw corrupt(hash, "is missing");
    if (blob.size !== bytes) throw corrupt(hash, `has ${blob.size} bytes, expected ${bytes}`);
    const content = new Uint8Array(await blob.arrayBuffer().catch(unreadable(hash)));
    const actual = await sha256(content);
    if (actual !== hash) throw corrupt(hash, `has the hash ${actual.slice(0, 12)}`);
    return content;
  }

  /** Installed models, the last used first. */
  async list(): Promise<InstalledModel[]> {
    const models: InstalledModel[] = [];
    for (const row of await this.#rowsLike("info:")) {
      if (isInstalledModel(row)) models.push(row);
    }
    return models.toSorted((a, b) => b.lastUsedAt - a.lastUsedAt);
  }

  /** Removes a model and the shards that nothing else uses. Harmless when it is not there. */
  async remove(key: string): Promise<void> {
    await this.#write([], [`manifest:${key}`, `info:${key}`, `journal:${key}`]);
    await this.removeOrphans();
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    await this.#write([], await this.#keys());
  }

  /** Removes journals that were given up, and shards that no manifest and no journal names. */
  async removeOrphans(now: number = Date.now()): Promise<void> {
    const used = new Set<string>();
    const doomed: string[] = [];
    for (const key of await this.#keys()) {
      if (key.startsWith("manifest:")) addHashes(used, await this.#get(key));
      if (!key.startsWith("journal:")) continue;
      const journal = await this.#get(key);
      if (isJournal(journal) && now - journal.updatedAt < JOURNAL_LIFE_MS) addHashes(used, journal);
      else doomed.push(key);
    }
    for (const key of await this.#keys()) {
      const [kind, hash] = key.split(":");
      if ((kind === "shard" || kind === "index") && !used.has(hash ?? "")) doomed.push(key);
    }
    if (doomed.length > 0) await this.#write([], doomed);
  }

  /** Shards and bytes, shared ones counted once. */
  async usage(): Promise<StoreUsage> {
    let bytes = 0;
    const rows = await this.#rowsLike("index:");
    for (const row of rows) bytes += bytesOf(row);
    return { shards: rows.length, bytes };
  }

  /** The manifest, or undefined when the model is not installed or its manifest cannot be trusted. */
  async readManifest(key: string): Promise<Manifest | undefined> {
    const manifest = parseManifest(await this.#get(`manifest:${key}`));
    return manifest?.key === key ? manifest : undefined;
  }

  /** Installs a model: from here on it exists. Its journal ends. */
  async writeManifest(manifest: Manifest): Promise<void> {
    const { key, source, revision, family, quantization, totalBytes, createdAt } = manifest;
    const origin = { key, source, revision, family, quantization };
    const info: InstalledModel = { ...origin, totalBytes, createdAt, lastUsedAt: createdAt };
    const rows = [[`manifest:${key}`, manifest] as const, [`info:${key}`, info] as const];
    await this.#write(rows, [`journal:${key}`]);
  }

  /** Notes that a model is used now. */
  async touch(key: string): Promise<void> {
    const info = await this.#get(`info:${key}`);
    if (isInstalledModel(info))
      await this.#write([[`info:${key}`, { ...info, lastUsedAt: Date.now() }]]);
  }

  /** The journal of an import, or undefined when there is none that can be trusted. */
  async readJournal(key: string): Promise<Journal | undefined> {
    const journal = await this.#get(`journal:${key}`);
    return isJournal(journal) ? journal : undefined;
  }

  async #readBlob(hash: string): Promise<unknown> {
    try {
      return await this.#rows.get(`shard:${hash}`);
    } catch (cause) {
      // The browser lost the file behind the record; nothing but fetching it again helps.
      if (nameOf(cause) === "NotReadableError") throw corrupt(hash, "cannot be read", cause);
      throw unavailable(cause);
    }
  }

  async #rowsLike(prefix: string): Promise<unknown[]> {
    const keys = (await this.#keys()).filter((key) => key.startsWith(prefix));
    return Promise.all(keys.map((key) => this.#get(key)));
  }

  #get(key: string): Promise<unknown> {
    return this.#rows.get(key).catch(rethrowUnavailable);
  }

  #keys(): Promise<string[]> {
    return this.#rows.keys().catch(rethrowUnavailable);
  }

  async #write(
    rows: readonly (readonly [string, unknown])[],
    remove: readonly string[] = [],
  ): Promise<void> {
    if (rows.length === 0 && remove.length === 0) return;
    try {
      await this.#rows.write(rows, remove);
    } catch (cause) {
      throw nameOf(cause) === "QuotaExceededError"
        ? await quotaExceeded(cause)
        : unavailable(cause);
    }
  }
}

function corrupt(hash: string, what: string, cause?: unknown): ModelError {
  return fail(
    "weights-corrupt",
    `A stored piece of the weights (${hash.slice(0, 12)}) ${what}. It is fetched again on the next load.`,
    { shards: [hash] },
    cause,
  );
}

function unreadable(hash: string): (cause: unknown) => never {
  return (cause) => {
    throw corrupt(hash, "cannot be read", cause);
  };
}

function rethrowUnavailable(cause: unknown): never {
  throw unavailable(cause);
}

function unavailable(cause: unknown): ModelError {
  if (ModelError.isModelError(cause)) return cause;
  return fail(
    "storage-unavailable",
    `The browser's storage failed (${nameOf(cause)}). Close other tabs of this page and load again.`,
    { name: nameOf(cause) },
    cause,
  );
}

async function quotaExceeded(cause: unknown): Promise<ModelError> {
  // Both numbers are hints: browsers round and invent them.
  const estimate: StorageEstimate = await Promise.resolve(
    globalThis.navigator?.storage?.estimate(),
  ).then(
    (value) => value ?? {},
    () => ({}),
  );
  return fail(
    "quota-exceeded",
    "The browser has no room for more weights. Free disk space, delete other models, or choose a smaller quantization.",
    { usageBytes: estimate.usage ?? 0, quotaBytes: estimate.quota ?? 0 },
    cause,
  );
}

function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : typeof error;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isInstalledModel(value: unknown): value is InstalledModel {
  return (
    isRecord(value) &&
    ["key", "source", "revision", "family", "quantization"].every(
      (name) => typeof value[name] === "string",
    ) &&
    ["totalBytes", "createdAt", "lastUsedAt"].every((name) => Number.isFinite(value[name]))
  );
}

function isJournal(value: unknown): value is Journal {
  return (
    isRecord(value) &&
    typeof value["plan"] === "string" &&
    Number.isFinite(value["updatedAt"]) &&
    Array.isArray(value["shards"]) &&
    value["shards"].every(isShardRef)
  );
}

function isShardRef(value: unknown): value is ShardRef {
  return isRecord(value) && typeof value["hash"] === "string" && Number.isFinite(value["bytes"]);
}

function addHashes(used: Set<string>, row: unknown): void {
  const shards = isRecord(row) && Array.isArray(row["shards"]) ? row["shards"] : [];
  for (const shard of shards) if (isShardRef(shard)) used.add(shard.hash);
}

function bytesOf(row: unknown): number {
  return isRecord(row) && typeof row["bytes"] === "number" ? row["bytes"] : 0;
}
