// The weight store in IndexedDB. The only user of IndexedDB, through idb-keyval with a UseStore of our
// own: strict durability, reopened when the browser closes it, and done only when the transaction is: a
// request's success is also reported by transactions that then fail for lack of room.
import type { UseStore } from "idb-keyval";
import { get, keys, promisifyRequest } from "idb-keyval";
import type { KeyValue, RowReader } from "./key-value.ts";
import { memoryKeyValue } from "./key-value.ts";
import { pause } from "./retry.ts";
import { WeightStore } from "./weight-store.ts";

/** A model that is kept in memory because the browser has no storage for the page: for another worker. */
export interface HandedModel {
  /** As {@link WeightStore.exportRows} gives them; shards are blobs, which cost nothing to send. */
  readonly rows: readonly (readonly [key: string, value: unknown])[];
  /** Why it is kept so. */
  readonly note: string;
}

/** Where to keep weights. */
export interface StoreOptions {
  /** Name of the database. */
  readonly name?: string;
}

const STORE_NAME = "rows";
/** Some browsers never answer an open request; then the model runs without a cache. */
const OPEN_TIMEOUT_MS = 5_000;
/** A strict write of 16 MiB takes seconds on a slow card; longer than this, the database is gone. */
const TRANSACTION_TIMEOUT_MS = 60_000;
/** Attempts of a read that fails for a reason that may pass, and how long the second one waits. */
const READ_ATTEMPTS = 3;
const FIRST_WAIT_MS = 50;
/** What does not get better by trying again: the file is lost, the database is silent. */
const FINAL: readonly string[] = ["NotReadableError", "TimeoutError"];

/** Opens the store; one in memory, with a note why, where IndexedDB is not to be had. */
export async function openStore({ name = "web-umm" }: StoreOptions = {}): Promise<WeightStore> {
  try {
    return new WeightStore(await indexedDbKeyValue(name), "indexeddb");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const note = `IndexedDB cannot be used (${reason}); weights are kept in memory until the model is disposed of or the page closes.`;
    return new WeightStore(memoryKeyValue(), "memory", note);
  }
}

/** The store of a model that another worker has brought. */
export function openHandedStore({ rows, note }: HandedModel): WeightStore {
  return new WeightStore(memoryKeyValue(rows), "memory", note);
}

async function indexedDbKeyValue(name: string): Promise<KeyValue> {
  const connection = new Connection(name);
  await connection.open();
  const { useStore } = connection;
  return {
    get: (key) => retried(connection, () => get<unknown>(key, useStore)),
    keys: async () => (await retried(connection, () => keys<IDBValidKey>(useStore))).map(String),
    change: (decide) =>
      useStore("readwrite", async (store) => {
        const { put = [], remove = [] } = await decide(readerOf(store));
        for (const key of remove) store.delete(key);
        for (const [key, value] of put) store.put(value, key);
      }),
  };
}

// Inside a transaction.
function readerOf(store: IDBObjectStore): RowReader {
  return {
    get: (key) => promisifyRequest<unknown>(store.get(key)),
    keys: async () => (await promisifyRequest(store.getAllKeys())).map(String),
  };
}

/** A database connection that comes back when it is lost. */
class Connection {
  readonly #name: string;
  #database: Promise<IDBDatabase> | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** The connection, opened on first use. */
  open(): Promise<IDBDatabase> {
    this.#database ??= openDatabase(this.#name).then(
      (database) => this.#watch(database),
      (error: unknown) => {
        this.forget();
        throw error;
      },
    );
    return this.#database;
  }

  /** The next use opens a new connection. */
  forget(): void {
    this.#database = undefined;
  }

  /** What idb-keyval calls with its work. */
  readonly useStore: UseStore = async (mode, callback) => {
    const transaction = await this.#begin(mode);
    const done = settled(transaction);
    done.catch(() => undefined);
    let failure: unknown;
    try {
      // The transaction decides; what a single request says meanwhile is not the last word.
      const result = Promise.resolve(callback(transaction.objectStore(STORE_NAME)));
      result.catch((cause: unknown) => {
        failure = cause;
        // A value that cannot be cloned fails its own request only; the others would be committed without it.
        undo(transaction);
      });
      await done;
      return await result;
    } catch (error) {
      undo(transaction);
      // A database that is silent once may be so for good; a new connection may not.
      if (isTimeout(error)) this.forget();
      throw transaction.error ?? failure ?? error;
    }
  };

  async #begin(mode: IDBTransactionMode): Promise<IDBTransaction> {
    const begin = async (): Promise<IDBTransaction> =>
      (await this.open()).transaction(STORE_NAME, mode, { durability: "strict" });
    try {
      return await begin();
    } catch {
      // Closed under us: by the browser, by clearing the site's data.
      this.forget();
      return begin();
    }
  }

  #watch(database: IDBDatabase): IDBDatabase {
    const forget = (): void => this.forget();
    database.addEventListener("close", forget);
    database.addEventListener("versionchange", () => {
      database.close();
      forget();
    });
    return database;
  }
}

function undo(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It has ended by itself.
  }
}

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      const seconds = OPEN_TIMEOUT_MS / 1000;
      reject(new Error(`no answer for ${seconds} s; another tab of this site may be holding it`));
    }, OPEN_TIMEOUT_MS);
    request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE_NAME));
    request.addEventListener("success", () => {
      clearTimeout(timer);
      // Nobody waits any more; left open, it would stand in the way of other tabs.
      const database = request.result;
      const isOurs = database.objectStoreNames.contains(STORE_NAME);
      if (!isOurs || isLate) database.close();
      if (isOurs) resolve(database);
      else reject(new Error("another version of the library has changed it"));
    });
    request.addEventListener("error", () => {
      clearTimeout(timer);
      reject(request.error ?? new Error("open failed"));
    });
  });
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function settled(transaction: IDBTransaction): Promise<void> {
  const { db } = transaction;
  return new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new DOMException("The database does not answer.", "TimeoutError"));
      undo(transaction);
    }, TRANSACTION_TIMEOUT_MS);
    const end = (settle: () => void) => (): void => {
      clearTimeout(timer);
      db.removeEventListener("close", close);
      settle();
    };
    const close = end(() => reject(new DOMException("The database was closed.", "AbortError")));
    transaction.addEventListener("complete", end(resolve));
    // Only here `error` tells a full disk from other reasons; error events come before it is set.
    transaction.addEventListener(
      "abort",
      end(() =>
        reject(transaction.error ?? new DOMException("The transaction was aborted.", "AbortError")),
      ),
    );
    // Chromium has been seen to close a database, its data being cleared, and never to end what was going on in it.
    db.addEventListener("close", close);
  });
}

// "UnknownError" is what a browser says when its database process had an accident.
async function retried<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const mayPass = error instanceof DOMException && !FINAL.includes(error.name);
      if (!mayPass || attempt >= READ_ATTEMPTS) throw error;
      connection.forget();
      await pause(FIRST_WAIT_MS * 4 ** (attempt - 1));
    }
  }
}
