// The little that the weight store needs of a database, and the version of it that lives in memory: for
// tests, and for pages where IndexedDB is closed to us.

/** What can be read of the rows. */
export interface RowReader {
  get(key: string): Promise<unknown>;
  keys(): Promise<string[]>;
}

/** Rows to write and rows to remove: all of it happens or nothing. What is removed and put is there. */
export interface RowChange {
  readonly put?: readonly (readonly [key: string, value: unknown])[];
  readonly remove?: readonly string[];
}

/** Rows by key. Values are structured clones. */
export interface KeyValue extends RowReader {
  /**
   * Reads and then writes, and nobody else, in whichever tab, writes in between.
   *
   * Resolves when the rows are durable. `decide` may wait for nothing but the reader that it is given.
   *
   * @throws DOMException QuotaExceededError and others; what `decide` throws, then nothing is written
   */
  change(decide: (now: RowReader) => Promise<RowChange>): Promise<void>;
}

/** A {@link KeyValue} that is gone with the page. @param initial - rows that are there from the beginning */
export function memoryKeyValue(
  initial: Iterable<readonly [key: string, value: unknown]> = [],
): KeyValue {
  const rows = new Map(initial);
  const reader: RowReader = {
    get: async (key) => rows.get(key),
    keys: async () => [...rows.keys()],
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    ...reader,
    change(decide) {
      const turn = last.then(async () => {
        const { put = [], remove = [] } = await decide(reader);
        for (const key of remove) rows.delete(key);
        for (const [key, value] of put) rows.set(key, value);
      });
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}
