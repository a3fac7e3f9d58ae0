// Stored manifest -> runtime -> weights on the device -> compiled stages, in the order in which it happens.
import { answerWithin } from "../base/answer-within.ts";
import { fail, ModelError } from "../base/errors.ts";
import type { LoadProgress } from "../base/events.ts";
import type { ModelInfo, StorageInfo } from "../base/info.ts";
import type { Capabilities } from "../base/requests.ts";
import type { Stages } from "../models/family.ts";
import type { BackendKind, Runtime } from "../session/runtime.ts";
import { createWasmRuntime } from "../session/wasm-runtime.ts";
import { createWebGpuRuntime } from "../session/webgpu-runtime.ts";
import { Residency } from "../session/residency.ts";
import { WeightBank } from "../session/weight-bank.ts";
import type { Manifest } from "../weights/manifest.ts";
import { readTensors } from "../weights/read-model.ts";
import type { WeightStore } from "../weights/weight-store.ts";
import type { LoadedModel, LoadRequest } from "./engine.ts";
import { manifestModel } from "./known-model.ts";
import { openStored } from "./open-stored.ts";

/** How long a hint of the browser is waited for. */
const ANSWER_MS = 1_000;

/**
 * Brings a stored model to this worker's device.
 *
 * @throws ModelError weights-corrupt when the model is not stored or damaged, storage-unavailable when the store
 * does not open, webgpu-unavailable, out-of-memory, checkpoint-invalid; the signal's reason
 */
export async function loadStages(
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
  signal: AbortSignal,
): Promise<LoadedModel> {
  const started = performance.now();
  const store = await openStored(request.handed);
  const manifest = await store.readManifest(request.manifestKey);
  if (manifest === undefined) {
    throw fail("weights-corrupt", "The model is not stored any more. Load it again.");
  }
  const runtime = await createRuntime(request.backend);
  try {
    const { memoryBudgetBytes } = request;
    const compile = { runtime, store, manifest, onProgress, signal, memoryBudgetBytes };
    return await compileStages(compile, started);
  } catch (error) {
    await runtime.dispose();
    throw error;
  }
}

/** What is being brought where. */
export interface CompileRequest {
  readonly runtime: Runtime;
  readonly store: WeightStore;
  readonly manifest: Manifest;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
  /** Most bytes of weights on the device at a time; absent: no limit. */
  readonly memoryBudgetBytes?: number | undefined;
}

/** Uploads a stored model's weights to a runtime and compiles its stages. The runtime is disposed with them. */
export async function compileStages(
  { runtime, store, manifest, onProgress, signal, memoryBudgetBytes }: CompileRequest,
  started: number = performance.now(),
): Promise<LoadedModel> {
  const { family, files, config } = await manifestModel(manifest);
  // A stage that leaves and comes back does so in a run: neither the load's listener nor its signal is there then.
  let report: ((progress: LoadProgress) => void) | undefined = onProgress;
  const weights = new WeightBank(runtime, (names, asked) => {
    const stopped = asked === undefined ? {} : { signal: asked };
    return readTensors(store, manifest, { names, onProgress: (now) => report?.(now), ...stopped });
  });
  const reportStage = (stage: string): void => {
    const none = { loadedBytes: 0, totalBytes: 0, bytesPerSecond: 0 };
    report?.({ phase: "compile", file: stage, ...none });
  };
  const stages = await family.createStages({
    config,
    files,
    runtime,
    weights,
    residency: new Residency(weights, memoryBudgetBytes),
    quantization: manifest.quantization,
    onStage: reportStage,
    ...(signal === undefined ? {} : { signal }),
  });
  report = undefined;
  const storage = await describeStorage(store);
  const loadSeconds = (performance.now() - started) / 1000;
  const budget = memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes };
  return {
    stages,
    info: () => ({
      ...modelInfo(family.id, family.capabilities(config), manifest, stages, {
        storage,
        loadSeconds,
      }),
      ...budget,
    }),
    dispose: async () => {
      await stages.dispose();
      weights.dispose();
      await runtime.dispose();
    },
  };
}

// The best there is, unless one was asked for: then its absence is an error, not a surprise.
async function createRuntime(asked: BackendKind | undefined): Promise<Runtime> {
  if (asked === "wasm") return createWasmRuntime();
  try {
    return await createWebGpuRuntime();
  } catch (error) {
    const isAbsent = ModelError.isModelError(error) && error.code === "webgpu-unavailable";
    if (asked === "webgpu" || !isAbsent) throw error;
    return createWasmRuntime();
  }
}

async function describeStorage({ kind, note }: WeightStore): Promise<StorageInfo> {
  const storage: StorageManager | undefined = globalThis.navigator?.storage;
  const ask = async (): Promise<boolean> => (await storage?.persisted()) ?? false;
  const isPersistent = kind === "indexeddb" && (await answerWithin(ANSWER_MS, false, ask));
  return { kind, isPersistent, ...(note === undefined ? {} : { note }) };
}

function modelInfo(
  family: string,
  capabilities: Capabilities,
  manifest: Manifest,
  stages: Stages,
  load: Pick<ModelInfo, "storage" | "loadSeconds">,
): ModelInfo {
  const { runtime, draw } = stages;
  const { backend, device, isSoftware, float, memory, counters } = runtime;
  return {
    family,
    capabilities,
    backend,
    device,
    isSoftware,
    dtype: float,
    quantization: manifest.quantization,
    storedBytes: manifest.totalBytes,
    tensorBytes: memory.tensorBytes,
    peakTensorBytes: memory.peakTensorBytes,
    ...stages.info(),
    traffic: { ...counters },
    ...load,
    // The other thread counts: this worker is one life of the model.
    recoveries: 0,
    ...(draw === undefined ? {} : { imageDefaults: draw.defaults([]) }),
  };
}
