// What the loader worker does, on the store of this browser.
import type { CachedModel, CacheUsage } from "../base/cache-info.ts";
import { fail } from "../base/errors.ts";
import { openStore } from "../weights/store.ts";
import type { InstalledModel, WeightStore } from "../weights/weight-store.ts";
import { importModel, repairModel } from "./import-model.ts";
import type { LoaderParts } from "./loader.ts";

/**
 * The work of a {@link Loader}. The store is opened at the first need and stays open.
 *
 * @param open - the browser's store; another in tests
 */
export function loaderParts(open: () => Promise<WeightStore> = openSharedStore): LoaderParts {
  let opened: Promise<WeightStore> | undefined;
  const store = (): Promise<WeightStore> => (opened ??= open().then(withoutOrphans));
  return {
    importModel: async (request, tools) => importModel(request, await store(), tools),
    repairModel: async (request, tools) => repairModel(request, await store(), tools),
    listModels: async () => (await (await store()).list()).map(describe),
    removeModels: async (keyOrId) => removeModels(await store(), keyOrId),
    clearModels: async () => (await store()).clear(),
    measureUsage: async () => measureUsage(await store()),
  };
}

// What a crash or a closed tab left is kept for a week, so that a download may go on, and then given up. That
// it could not be given up now is no reason to load nothing.
async function withoutOrphans(store: WeightStore): Promise<WeightStore> {
  await store.removeOrphans().catch(() => undefined);
  return store;
}

// The engine reads what this worker writes: a store in this worker's memory is of no use to it.
async function openSharedStore(): Promise<WeightStore> {
  const store = await openStore();
  if (store.kind === "indexeddb") return store;
  throw fail("storage-unavailable", store.note ?? "This page may not use IndexedDB.");
}

function describe(model: InstalledModel): CachedModel {
  const { key, source, revision, family, quantization, totalBytes, createdAt } = model;
  const sizes = { storedBytes: totalBytes, storedAt: createdAt };
  return { key, id: source, revision, family, quantization, ...sizes };
}

async function removeModels(store: WeightStore, keyOrId: string): Promise<number> {
  const models = await store.list();
  // A hub's id names its branch, too; the application may have left that out.
  const named = models.filter(
    ({ key, source }) => [key, source].includes(keyOrId) || source === `${keyOrId}@main`,
  );
  for (const { key } of named) await store.remove(key);
  return named.length;
}

// The browser's own numbers exist on secure pages only.
async function measureUsage(store: WeightStore): Promise<CacheUsage> {
  const storage: StorageManager | undefined = globalThis.navigator?.storage;
  const [{ bytes }, estimate, isPersistent] = await Promise.all([
    store.usage(),
    storage?.estimate(),
    storage?.persisted(),
  ]);
  return {
    modelBytes: bytes,
    originBytes: estimate?.usage ?? 0,
    quotaBytes: estimate?.quota ?? 0,
    isPersistent: isPersistent ?? false,
  };
}
