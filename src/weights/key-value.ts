// The little that the weight store needs of a database, and the version of it that lives in memory: for
// tests, and for pages where IndexedDB is closed to us.

/** Rows by key. Values are structured clones; several rows are written together or not at all. */
export interface KeyValue {
  get(key: string): Promise<unknown>;
  keys(): Promise<string[]>;
  /** Resolves when the rows are durable. @throws DOMException QuotaExceededError and others */
  write(
    rows: readonly (readonly [key: string, value: unknown])[],
    remove?: readonly string[],
  ): Promise<void>;
}

/** A {@link KeyValue} that is gone with the page. */
export function memoryKeyValue(): KeyValue {
  const rows = new Map<string, unknown>();
  return {
    get: async (key) => rows.get(key),
    keys: async () => [...rows.keys()],
    write: async (added, removed = []) => {
      for (const key of removed) rows.delete(key);
      for (const [key, value] of added) rows.set(key, value);
    },
  };
}
