// THE CACHE of weights: shards under the hash of their bytes, manifests that name them, journals of
// imports that are under way. Every shard is checked against its hash each time it is read. Whatever reads
// before it writes does both in one transaction, so that several tabs may do anything at the same time.
// Knows rows and hashes; knows neither IndexedDB (store.ts) nor how bytes were made.
import { withDeadline } from "../base/deadline.ts";
import { fail } from "../base/errors.ts";
import { sha256 } from "./hash.ts";
import type { KeyValue, RowChange, RowReader } from "./key-value.ts";
import type { Manifest, ShardRef } from "./manifest.ts";
import { hashOfManifest, parseManifest } from "./manifest.ts";
import { corrupt, nameOf, unavailable, writeFailed } from "./storage-error.ts";
import type { InfoRow, InstalledModel, Journal, JournalRow } from "./stored-rows.ts";
import { bytesOf, hashesOf, hashOfJournal, isInfoRow, isJournal } from "./stored-rows.ts";

/** Bytes that the store holds. */
export interface StoreUsage {
  readonly shards: number;
  readonly bytes: number;
}

/** Where the rows are kept. */
export type StoreKind = "indexeddb" | "memory";

/** An import that nobody continued for this long is given up. */
const JOURNAL_LIFE_MS = 7 * 24 * 3600 * 1000;

/** Chromium never answers for a blob whose site's data was cleared between the row's reading and its own. */
const READ_TIMEOUT_MS = 20_000;
const SMALL_ROW_BYTES = 1024;
/** Attempts to read a piece whose record is there. */
const READ_ATTEMPTS = 2;

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
   * @param options.journal - written in the same transaction: the import that the shard belongs to. A longer
   *   journal of the same plan, which another tab has written, stays
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
    const content: [string, unknown][] = [
      [`shard:${shard.hash}`, new Blob([bytes])],
      [`index:${shard.hash}`, { bytes: bytes.length, createdAt: Date.now() }],
    ];
    const [key, unsealed] = options.journal?.(shard) ?? [];
    const journal = unsealed && (await sealed(unsealed));
    await this.#change(async (now) => {
      const isThere = !options.replace && (await now.get(`index:${shard.hash}`)) !== undefined;
      const put = isThere ? [] : content;
      if (key === undefined || journal === undefined) return { put };
      return { put: [...put, [`journal:${key}`, await longerJournal(now, key, journal)]] };
    }, bytes.length);
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
    const content = await this.#readContent(hash, bytes);
    const actual = await sha256(content);
    if (actual !== hash) throw corrupt(hash, `has the hash ${actual.slice(0, 12)}`);
    return content;
  }

  /** Installed models, the last used first. */
  async list(): Promise<InstalledModel[]> {
    const models: InstalledModel[] = [];
    for (const row of await this.#rowsLike("info:")) {
      if (!isInfoRow(row)) continue;
      const { manifestHash: _, ...model } = row;
      models.push(model);
    }
    return models.toSorted((a, b) => b.lastUsedAt - a.lastUsedAt);
  }

  /** Removes a model and the shards that nothing else uses. Harmless when it is not there. */
  async remove(key: string): Promise<void> {
    await this.#change(async () => ({
      remove: ["manifest", "info", "journal", "heartbeat"].map((kind) => `${kind}:${key}`),
    }));
    await this.removeOrphans();
  }

  /**
   * Removes models that are not pinned, the longest unused first, until so many bytes are free or none is left.
   *
   * @returns what was removed
   */
  async makeRoom(bytes: number): Promise<InstalledModel[]> {
    const before = (await this.usage()).bytes;
    const removed: InstalledModel[] = [];
    for (const model of (await this.list()).toReversed()) {
      if (before - (await this.usage()).bytes >= bytes) break;
      if (model.isPinned === true) continue;
      await this.remove(model.key);
      removed.push(model);
    }
    return removed;
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    await this.#change(async (now) => ({ remove: await now.keys() }));
  }

  /** Removes journals that were given up, and shards that no manifest and no journal names. */
  async removeOrphans(now: number = Date.now()): Promise<void> {
    await this.#change(async (rows) => ({ remove: await findOrphans(rows, now) }));
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
    const info = await this.#get(`info:${key}`);
    const manifest = parseManifest(await this.#get(`manifest:${key}`));
    if (!isInfoRow(info) || manifest?.key !== key) return undefined;
    return (await hashOfManifest(manifest)) === info.manifestHash ? manifest : undefined;
  }

  /**
   * Installs a model: from here on it exists. Its journal ends.
   *
   * @throws ModelError weights-corrupt with `details.shards`, those that somebody removed meanwhile
   */
  async writeManifest(manifest: Manifest): Promise<void> {
    const { key, source, revision, family, quantization, totalBytes, createdAt } = manifest;
    const origin = { key, source, revision, family, quantization };
    const manifestHash = await hashOfManifest(manifest);
    const info: InfoRow = { ...origin, totalBytes, createdAt, lastUsedAt: createdAt, manifestHash };
    await this.#change(async (now) => {
      const missing = await missingShards(now, manifest);
      if (missing.length > 0) throw removedMeanwhile(missing);
      const put = [[`manifest:${key}`, manifest] as const, [`info:${key}`, info] as const];
      return { put, remove: [`journal:${key}`, `heartbeat:${key}`] };
    }, JSON.stringify(manifest).length);
  }

  /** All rows of an installed model, for a store of another worker. */
  async exportRows(key: string): Promise<[key: string, value: unknown][]> {
    const manifest = await this.readManifest(key);
    const hashes = new Set(manifest?.shards.map(({ hash }) => hash));
    const names = [...hashes].flatMap((hash) => [`shard:${hash}`, `index:${hash}`]);
    const keys = [`manifest:${key}`, `info:${key}`, ...names];
    return Promise.all(keys.map(async (name) => [name, await this.#get(name)]));
  }

  /** Notes that a model is used now. */
  touch(key: string): Promise<void> {
    return this.#changeInfo(key, { lastUsedAt: Date.now() });
  }

  /** Keeps a model from being removed to make room, or no longer. */
  pin(key: string, isPinned: boolean): Promise<void> {
    return this.#changeInfo(key, { isPinned });
  }

  /** The journal of an import, or undefined when there is none that can be trusted. */
  async readJournal(key: string): Promise<Journal | undefined> {
    const row = await this.#get(`journal:${key}`);
    if (!isJournal(row)) return undefined;
    const { journalHash, ...journal } = row;
    return (await hashOfJournal(journal)) === journalHash ? journal : undefined;
  }

  /** Writes a journal by itself; as a rule it goes with a shard. */
  async writeJournal(key: string, journal: Journal): Promise<void> {
    const row = await sealed(journal);
    await this.#change(async () => ({ put: [[`journal:${key}`, row]] }));
  }

  /** Says that an import is alive; see import-lock.ts. */
  writeHeartbeat(key: string): Promise<void> {
    return this.#change(async () => ({ put: [[`heartbeat:${key}`, Date.now()]] }));
  }

  /** When an import last said that it is alive; 0 when it never did. */
  async readHeartbeat(key: string): Promise<number> {
    const at = await this.#get(`heartbeat:${key}`);
    return typeof at === "number" ? at : 0;
  }

  async #readContent(hash: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    for (let attempt = 1; ; attempt++) {
      const blob = await this.#readBlob(hash);
      if (!(blob instanceof Blob)) throw corrupt(hash, "is missing");
      if (blob.size !== bytes) throw corrupt(hash, `has ${blob.size} bytes, expected ${bytes}`);
      try {
        return new Uint8Array(await contentOf(blob));
      } catch (cause) {
        // A file that is lost stays lost; an accident of the browser's processes passes, and needs no network.
        const mayPass = nameOf(cause) !== "NotReadableError" && attempt < READ_ATTEMPTS;
        if (!mayPass) throw corrupt(hash, "cannot be read", cause);
      }
    }
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

  // A model that is not there is left alone.
  #changeInfo(key: string, part: Partial<InfoRow>): Promise<void> {
    return this.#change(async (now) => {
      const info = await now.get(`info:${key}`);
      return isInfoRow(info) ? { put: [[`info:${key}`, { ...info, ...part }]] } : {};
    });
  }

  // A row without a size is small.
  async #change(
    decide: (now: RowReader) => Promise<RowChange>,
    bytes: number = SMALL_ROW_BYTES,
  ): Promise<void> {
    try {
      await this.#rows.change(decide);
    } catch (cause) {
      throw await writeFailed(cause, bytes);
    }
  }
}

async function sealed(journal: Journal): Promise<JournalRow> {
  return { ...journal, journalHash: await hashOfJournal(journal) };
}

// Two tabs that import the same make the same shards: who is behind must not take back what the other did.
async function longerJournal(
  now: RowReader,
  key: string,
  journal: JournalRow,
): Promise<JournalRow> {
  const other = await now.get(`journal:${key}`);
  const isAhead =
    isJournal(other) && other.plan === journal.plan && other.shards.length > journal.shards.length;
  return isAhead ? { ...other, updatedAt: journal.updatedAt } : journal;
}

async function findOrphans(rows: RowReader, now: number): Promise<string[]> {
  const keys = await rows.keys();
  const used = new Set<string>();
  const doomed: string[] = [];
  const names = new Set(keys);
  for (const key of keys) {
    const [kind = ""] = key.split(":");
    // One is nothing without the other: it is not listed, and a load begins anew.
    const other = { manifest: "info", info: "manifest" }[kind];
    if (other !== undefined && !names.has(other + key.slice(kind.length))) {
      doomed.push(key);
      continue;
    }
    if (kind === "manifest") for (const hash of hashesOf(await rows.get(key))) used.add(hash);
    if (kind === "heartbeat" && isOld(await rows.get(key), now)) doomed.push(key);
    if (kind !== "journal") continue;
    const journal = await rows.get(key);
    const isAlive = isJournal(journal) && !isOld(journal.updatedAt, now);
    if (isAlive) for (const hash of hashesOf(journal)) used.add(hash);
    else doomed.push(key);
  }
  for (const key of keys) {
    const [kind, hash = ""] = key.split(":");
    if ((kind === "shard" || kind === "index") && !used.has(hash)) doomed.push(key);
  }
  return doomed;
}

function isOld(at: unknown, now: number): boolean {
  // A clock that was set back leaves times in the future.
  return typeof at !== "number" || !(Math.abs(now - at) < JOURNAL_LIFE_MS);
}

async function missingShards(now: RowReader, { shards }: Manifest): Promise<string[]> {
  const missing: string[] = [];
  for (const { hash } of shards) {
    if ((await now.get(`index:${hash}`)) === undefined) missing.push(hash);
  }
  return missing;
}

function removedMeanwhile(hashes: readonly string[]): Error {
  return fail(
    "weights-corrupt",
    `${hashes.length} pieces of the weights were deleted while the model was being stored. Load it again.`,
    { shards: hashes },
  );
}

function contentOf(blob: Blob): Promise<ArrayBuffer> {
  const seconds = READ_TIMEOUT_MS / 1000;
  const late = (): Error => new DOMException(`Not read within ${seconds} s.`, "TimeoutError");
  return withDeadline(blob.arrayBuffer(), READ_TIMEOUT_MS, late);
}

function rethrowUnavailable(cause: unknown): never {
  throw unavailable(cause);
}
