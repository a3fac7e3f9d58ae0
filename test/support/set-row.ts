// Puts a row into a database behind the store's back: damage, or what another version would have left.
import type { KeyValue } from "../../src/weights/key-value.ts";

/** Replaces one row. */
export function setRow(rows: KeyValue, key: string, value: unknown): Promise<void> {
  return rows.change(async () => ({ put: [[key, value]] }));
}
