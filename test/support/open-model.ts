// A checkpoint -> imported into a store in memory -> compiled on a runtime, by the same functions that the
// two workers use. No worker, no IndexedDB.
import type { Quantization } from "../../src/base/dtype.ts";
import type { SourceLocation } from "../../src/base/source-location.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { importModel } from "../../src/engine/import-model.ts";
import { compileStages } from "../../src/engine/load-stages.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { memoryKeyValue } from "../../src/weights/key-value.ts";
import { WeightStore } from "../../src/weights/weight-store.ts";

/** Imports and compiles, with all stages on the device unless there is a budget. The runtime is disposed with the model. */
export async function openModel(
  location: SourceLocation,
  quantization: Quantization,
  runtime: Runtime,
  memoryBudgetBytes?: number,
): Promise<LoadedModel> {
  const store = new WeightStore(memoryKeyValue(), "memory");
  const quiet = { onProgress: () => undefined, signal: new AbortController().signal };
  const request = { location, quantization, companions: {} };
  const { manifestKey } = await importModel(request, store, quiet);
  const manifest = await store.readManifest(manifestKey);
  if (manifest === undefined) throw new Error("an imported model has a manifest");
  return compileStages({ runtime, store, manifest, ...quiet, memoryBudgetBytes });
}
