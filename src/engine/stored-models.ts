// What the loader worker does, on the store of this browser.
import { answerWithin } from "../base/answer-within.ts";
import type { CachedModel, CacheUsage } from "../base/cache-info.ts";
import { fail } from "../base/errors.ts";
import { openStore } from "../weights/store.ts";
import { estimateStorage } from "../weights/storage-error.ts";
import type { InstalledModel } from "../weights/stored-rows.ts";
import type { WeightStore } from "../weights/weight-store.ts";
import { admitModel } from "./admit-model.ts";
import type { Admission } from "./admit-model.ts";
import { importModel, repairModel } from "./import-model.ts";
import { manifestModel } from "./known-model.ts";
import type { KnownModel } from "./known-model.ts";
import type { ImportOutcome, ImportRequest, ImportTools, LoaderParts } from "./loader.ts";

/** How long a hint of the browser is waited for. */
const ANSWER_MS = 1_000;

/**
 * The work of a {@link Loader}. The store is opened at the first need and stays open.
 *
 * @param open - the browser's store; another in tests
 */
export function loaderParts(open: () => Promise<WeightStore> = openStore): LoaderParts {
  let opened: Promise<WeightStore> | undefined;
  const store = (): Promise<WeightStore> => (opened ??= open().then(withoutOrphans));
  const kept = async (): Promise<WeightStore> => requireKept(await store());
  return {
    importModel: async (request, tools) => importAndHand(request, await store(), tools),
    repairModel: async (request, tools) => repairModel(request, await store(), tools),
    listModels: async () => (await (await kept()).list()).map(describe),
    pinModels: async (keyOrId, isPinned) => pinModels(await kept(), keyOrId, isPinned),
    makeRoom: async (bytes) => (await (await kept()).makeRoom(bytes)).map(describe),
    removeModels: async (keyOrId) => removeModels(await kept(), keyOrId),
    clearModels: async () => (await kept()).clear(),
    measureUsage: async () => measureUsage(await kept()),
  };
}

// A new model is refused before it is fetched; of one that is stored, only how it goes onto the device is told.
async function admitted(
  request: ImportRequest,
  store: WeightStore,
  tools: ImportTools,
): Promise<ImportOutcome> {
  const { quantization, device } = request;
  if (device === undefined) return importModel(request, store, tools);
  let admission: Admission | undefined;
  const admit = async (model: KnownModel): Promise<void> => {
    admission = await admitModel(model, quantization, device);
  };
  const outcome = await importModel(request, store, { ...tools, admit });
  const manifest = admission ? undefined : await store.readManifest(outcome.manifestKey);
  if (manifest) await admit(await manifestModel(manifest));
  return { ...outcome, ...admission };
}

// What a crash or a closed tab left is kept for a week, so that a download may go on, and then given up. That
// it could not be given up now is no reason to load nothing.
async function withoutOrphans(store: WeightStore): Promise<WeightStore> {
  await store.removeOrphans().catch(() => undefined);
  return store;
}

// Where nothing is kept there is nothing to list; the next worker starts from nothing again.
function requireKept(store: WeightStore): WeightStore {
  if (store.note === undefined) return store;
  throw fail("storage-unavailable", store.note);
}

// The engine reads what this worker writes; what is in this worker's memory is given to it.
async function importAndHand(
  request: ImportRequest,
  store: WeightStore,
  tools: ImportTools,
): Promise<ImportOutcome> {
  const outcome = await admitted(request, store, tools);
  const { note } = store;
  if (note === undefined) return outcome;
  return { ...outcome, handed: { rows: await store.exportRows(outcome.manifestKey), note } };
}

function describe(model: InstalledModel): CachedModel {
  const { key, source, revision, family, quantization, totalBytes } = model;
  const { createdAt, lastUsedAt, isPinned = false } = model;
  const facts = { storedBytes: totalBytes, storedAt: createdAt, usedAt: lastUsedAt, isPinned };
  return { key, id: source, revision, family, quantization, ...facts };
}

async function removeModels(store: WeightStore, keyOrId: string): Promise<number> {
  const named = await findModels(store, keyOrId);
  for (const { key } of named) await store.remove(key);
  return named.length;
}

async function pinModels(store: WeightStore, keyOrId: string, isPinned: boolean): Promise<number> {
  const named = await findModels(store, keyOrId);
  for (const { key } of named) await store.pin(key, isPinned);
  return named.length;
}

async function findModels(store: WeightStore, keyOrId: string): Promise<InstalledModel[]> {
  const models = await store.list();
  // A hub's id names its branch, too; the application may have left that out.
  return models.filter(
    ({ key, source }) => [key, source].includes(keyOrId) || source === `${keyOrId}@main`,
  );
}

// The browser's own numbers exist on secure pages only, and some browsers do not answer.
async function measureUsage(store: WeightStore): Promise<CacheUsage> {
  const storage: StorageManager | undefined = globalThis.navigator?.storage;
  const [{ bytes }, estimate, isPersistent] = await Promise.all([
    store.usage(),
    estimateStorage(storage),
    answerWithin(ANSWER_MS, false, async () => (await storage?.persisted()) ?? false),
  ]);
  const { usage = 0, quota = 0 } = estimate;
  return { modelBytes: bytes, originBytes: usage, quotaBytes: quota, isPersistent };
}
