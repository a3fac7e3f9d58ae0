import { afterEach, expect, test, vi } from "vitest";
import { openStored } from "../../../src/engine/open-stored.ts";
import { loadStages } from "../../../src/engine/load-stages.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";

afterEach(() => void vi.unstubAllGlobals());

const opened = new WeightStore(memoryKeyValue(), "indexeddb");
const fallenBack = (): WeightStore =>
  new WeightStore(memoryKeyValue(), "memory", "IndexedDB cannot be used (busy); kept in memory.");

test("a store that opens is asked once", async () => {
  const open = vi.fn(async () => opened);
  expect(await openStored(undefined, open)).toBe(opened);
  expect(open).toHaveBeenCalledTimes(1);
});

test("a store that does not open is asked a second time", async () => {
  const answers = [fallenBack(), opened];
  expect(await openStored(undefined, async () => answers.shift() ?? fallenBack())).toBe(opened);
  expect(answers).toEqual([]);
});

test("a store that does not open is not a model that is gone", async () => {
  const open = vi.fn((): never => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  });
  vi.stubGlobal("indexedDB", { open });
  const { signal } = new AbortController();
  const loading = loadStages({ manifestKey: "any", backend: "wasm" }, () => undefined, signal);
  await expect(loading).rejects.toMatchObject({
    code: "storage-unavailable",
    details: { reason: "IndexedDB cannot be used (The operation is insecure.)" },
  });
  expect(open).toHaveBeenCalledTimes(2);
});

test("a model that was handed over needs no database", async () => {
  const store = await openStored({ rows: [], note: "A private window." }, () => {
    throw new Error("not asked");
  });
  expect(store.note).toBe("A private window.");
});
