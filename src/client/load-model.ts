// loadModel, in the order in which it happens: check, store, start the engine, load. Owns the engine worker
// until the model does; whatever fails, no worker is left behind.
import { proxy } from "comlink";
import type { Remote } from "comlink";
import { abortable } from "../base/abort.ts";
import { withoutUndefined } from "../base/check-values.ts";
import { fail, ModelError } from "../base/errors.ts";
import type { LoadProgress } from "../base/events.ts";
import type { ModelInfo } from "../base/info.ts";
import type { SourceInput } from "../base/source-location.ts";
import { lendFetch } from "../base/wire-fetch.ts";
import type { Engine } from "../engine/engine.ts";
import type { ImportOutcome, Loader } from "../engine/loader.ts";
import { askPersistence } from "./ask-persistence.ts";
import { checkDevice } from "./check-device.ts";
import type { LoadOptions, LoadPlan } from "./load-options.ts";
import { planLoad } from "./load-options.ts";
import { Model } from "./model.ts";
import { withLoader } from "./shared-loader.ts";
import { Supervisor } from "./supervisor.ts";
import type { Before, Life } from "./supervisor.ts";
import { WorkerHandle } from "./worker-handle.ts";

/**
 * Loads a model: downloads and stores its checkpoint unless it is stored, and brings it to the device.
 *
 * @param source - a hub id (`"owner/name"` or `"owner/name@revision"`), the address of a folder, or files
 *   that the user picked (`{ files }`: a list of File or a directory handle)
 * @throws TypeError or RangeError for options that make no sense
 * @throws ModelError with a `code` for what the network, the checkpoint, the storage or the device refuses
 * @throws the signal's own reason when it aborts
 *
 * @example
 * const model = await loadModel("deepseek-ai/JanusFlow-1.3B", { onProgress: ({ phase }) => show(phase) });
 */
export async function loadModel(source: SourceInput, options: LoadOptions = {}): Promise<Model> {
  const plan = planLoad(source, options);
  options.signal?.throwIfAborted();
  await checkBackend(plan, options.signal);
  const listening = listen(plan, options.signal);
  const stored = await importModel(plan, listening);
  const supervisor = await Supervisor.start(
    {
      start: (signal, before) => startLife(plan, stored, listen(plan, signal), before),
      onLoss: (reason) => plan.onProgress({ phase: "recover", file: reason, ...NO_BYTES }),
    },
    listening.signal,
  );
  const { source: id, revision } = stored;
  return new Model(supervisor, revision === "" ? id : `${id} (${revision})`);
}

// What is downloaded is worth keeping.
function importModel(plan: LoadPlan, { onProgress, signal }: Listening): Promise<ImportOutcome> {
  const asking = (progress: LoadProgress): void => {
    if (progress.phase === "download") askPersistence();
    onProgress(progress);
  };
  const listening = { onProgress: asking, signal };
  return askLoader(plan, listening, (loader, ...call) => loader.importModel(...call));
}

const NO_BYTES = { loadedBytes: 0, totalBytes: 0, bytesPerSecond: 0 };

/** The user's listener, and a signal that also aborts when it throws. */
interface Listening {
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
}

function listen({ onProgress }: LoadPlan, signal?: AbortSignal): Listening {
  const thrown = new AbortController();
  return {
    signal: signal ? AbortSignal.any([signal, thrown.signal]) : thrown.signal,
    onProgress(progress) {
      if (thrown.signal.aborted || signal?.aborted) return;
      try {
        onProgress(progress);
      } catch (error) {
        thrown.abort(error);
      }
    },
  };
}

// Before gigabytes are downloaded for a device that is not there.
async function checkBackend({ backend }: LoadPlan, signal?: AbortSignal): Promise<void> {
  if (backend !== "webgpu") return;
  const checking = checkDevice();
  const { webgpu, obstacle, reasons } = await (signal ? abortable(checking, signal) : checking);
  if (webgpu) return;
  throw fail(
    "webgpu-unavailable",
    `${reasons.join(" ")} Small models also run with backend "wasm".`,
    withoutUndefined({ reason: obstacle, reasons }),
  );
}

type ImportCall = Parameters<Remote<Loader>["importModel"]>;

async function askLoader<T>(
  plan: LoadPlan,
  { onProgress, signal }: Listening,
  ask: (loader: Remote<Loader>, ...call: ImportCall) => Promise<T>,
): Promise<T> {
  const { location, companions, quantization, hubUrl, fetch, workers } = plan;
  const { backend, memoryBudgetBytes } = plan;
  const device = withoutUndefined({ backend, memoryBudgetBytes });
  const request = { location, companions, quantization, device, ...withoutUndefined({ hubUrl }) };
  const end = new AbortController();
  const lent = fetch && lendFetch(fetch, end.signal);
  const call = (handle: WorkerHandle<Loader>): Promise<T> =>
    handle.call((loader, stop) => ask(loader, request, proxy(onProgress), stop, lent), signal);
  try {
    return await withLoader(workers.loader, call, signal);
  } finally {
    // The loader may be gone by now: what it has asked for ends here.
    end.abort();
  }
}

// A stored model that turns out to be damaged is fetched again where it is, once: here, or in the life before.
async function startLife(
  plan: LoadPlan,
  stored: ImportOutcome,
  listening: Listening,
  before?: Before,
): Promise<Life> {
  const start = (): Promise<Life> => startEngine(plan, stored, listening, before?.info);
  const repair = (): Promise<void> =>
    askLoader(plan, listening, (loader, ...call) => loader.repairModel(...call));
  if (isDamage(before?.end)) {
    await repair();
    return start();
  }
  try {
    return await start();
  } catch (error) {
    if (!isDamage(error)) throw error;
    await repair();
    return start();
  }
}

function isDamage(error: unknown): boolean {
  return ModelError.isModelError(error) && error.code === "weights-corrupt";
}

async function startEngine(
  { backend, workers }: LoadPlan,
  { manifestKey, source, storedBytes, memoryBudgetBytes, handed }: ImportOutcome,
  { onProgress, signal }: Listening,
  last?: ModelInfo,
): Promise<Life> {
  const kind = {
    name: "engine",
    spawn: workers.engine,
    deathCode: "device-lost",
    givesSigns: true,
  } as const;
  const engine = await WorkerHandle.start<Engine>(kind, signal);
  // A model that was on the GPU comes back there or not at all: elsewhere its numbers are others.
  const request = {
    manifestKey,
    ...withoutUndefined({ backend: last?.backend ?? backend, memoryBudgetBytes, handed }),
  };
  const heard = (progress: LoadProgress): void => {
    engine.sign();
    onProgress(progress);
  };
  const onLost = (reason: string): void =>
    engine.end(fail("device-lost", `The GPU device was lost: ${reason}.`, { reason }));
  const load = (remote: Remote<Engine>, stop: AbortSignal): Promise<ModelInfo> =>
    remote.load(request, proxy(heard), stop, proxy(onLost));
  try {
    const info = await engine.call(load, signal);
    const bytes = { loadedBytes: storedBytes, totalBytes: storedBytes, bytesPerSecond: 0 };
    onProgress({ phase: "ready", file: source, ...bytes });
    signal.throwIfAborted();
    return { engine, info };
  } catch (error) {
    engine.end(error);
    throw error;
  }
}
