// loadModel, in the order in which it happens: check, store, start the engine, load. Owns the engine worker
// until the model does; whatever fails, no worker is left behind.
import { proxy } from "comlink";
import type { Remote } from "comlink";
import { withoutUndefined } from "../base/check-values.ts";
import { fail, ModelError } from "../base/errors.ts";
import type { LoadProgress } from "../base/events.ts";
import type { ModelInfo } from "../base/info.ts";
import type { SourceInput } from "../base/source-location.ts";
import { lendFetch } from "../base/wire-fetch.ts";
import type { Engine } from "../engine/engine.ts";
import type { ImportOutcome, Loader } from "../engine/loader.ts";
import { checkDevice } from "./check-device.ts";
import type { LoadOptions, LoadPlan } from "./load-options.ts";
import { planLoad } from "./load-options.ts";
import { Model } from "./model.ts";
import { withLoader } from "./shared-loader.ts";
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
  await checkBackend(plan);
  const listening = listen(plan, options.signal);
  const stored = await askLoader(plan, listening, (loader, ...call) => loader.importModel(...call));
  try {
    return await startModel(plan, stored, listening);
  } catch (error) {
    if (!ModelError.isModelError(error) || error.code !== "weights-corrupt") throw error;
    await askLoader(plan, listening, (loader, ...call) => loader.repairModel(...call));
    return startModel(plan, stored, listening);
  }
}

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
async function checkBackend({ backend }: LoadPlan): Promise<void> {
  if (backend !== "webgpu") return;
  const { webgpu, reasons } = await checkDevice();
  if (webgpu) return;
  throw fail(
    "webgpu-unavailable",
    `${reasons.join(" ")} Small models also run with backend "wasm".`,
    { reasons },
  );
}

type ImportCall = Parameters<Remote<Loader>["importModel"]>;

function askLoader<T>(
  { location, companions, quantization, hubUrl, fetch, workers }: LoadPlan,
  { onProgress, signal }: Listening,
  ask: (loader: Remote<Loader>, ...call: ImportCall) => Promise<T>,
): Promise<T> {
  const request = { location, companions, quantization, ...withoutUndefined({ hubUrl }) };
  return withLoader(
    workers.loader,
    (handle) =>
      handle.call(
        (loader, stop) => ask(loader, request, proxy(onProgress), stop, fetch && lendFetch(fetch)),
        signal,
      ),
    signal,
  );
}

async function startModel(
  { backend, memoryBudgetBytes, workers }: LoadPlan,
  { manifestKey, source, revision, storedBytes }: ImportOutcome,
  { onProgress, signal }: Listening,
): Promise<Model> {
  const kind = { name: "engine", spawn: workers.engine, deathCode: "device-lost" } as const;
  const engine = await WorkerHandle.start<Engine>(kind, signal);
  const request = { manifestKey, ...withoutUndefined({ backend, memoryBudgetBytes }) };
  const load = (remote: Remote<Engine>, stop: AbortSignal): Promise<ModelInfo> =>
    remote.load(request, proxy(onProgress), stop);
  try {
    const info = await engine.call(load, signal);
    const bytes = { loadedBytes: storedBytes, totalBytes: storedBytes, bytesPerSecond: 0 };
    onProgress({ phase: "ready", file: source, ...bytes });
    signal.throwIfAborted();
    return new Model(engine, info, revision === "" ? source : `${source} (${revision})`);
  } catch (error) {
    engine.end(error);
    throw error;
  }
}
