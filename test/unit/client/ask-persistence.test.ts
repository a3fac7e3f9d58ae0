import { afterEach, expect, test, vi } from "vitest";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

async function ask(storage: unknown): Promise<void> {
  vi.stubGlobal("navigator", { storage });
  const { askPersistence } = await import("../../../src/client/ask-persistence.ts");
  askPersistence();
  askPersistence();
}

test("asks the browser once", async () => {
  const persist = vi.fn(async () => true);
  await ask({ persist });
  expect(persist).toHaveBeenCalledTimes(1);
});

test.each<[string, unknown]>([
  ["no storage manager", undefined],
  ["no such method", {}],
  ["a refusal", { persist: () => Promise.reject(new TypeError("no")) }],
  [
    "an exception",
    {
      persist: () => {
        throw new TypeError("no");
      },
    },
  ],
])("does not mind %s", async (_, storage) => {
  await expect(ask(storage)).resolves.toBeUndefined();
});
