// A Nexus-Gen checkpoint on a runtime with its stages in reach: tests look at what lies between a prompt and
// a picture.
import type { Quantization } from "../../src/base/dtype.ts";
import type { SourceLocation } from "../../src/base/source-location.ts";
import { parseFiles } from "../../src/engine/checkpoint-files.ts";
import { importModel } from "../../src/engine/import-model.ts";
import type { Stages } from "../../src/models/family.ts";
import type { NexusGenConfig } from "../../src/models/nexus-gen/config.ts";
import { nexusGen } from "../../src/models/nexus-gen/index.ts";
import type { NexusPainter } from "../../src/models/nexus-gen/painter.ts";
import type { NexusCore } from "../../src/models/nexus-gen/stages.ts";
import type { NexusTimes } from "../../src/models/nexus-gen/times.ts";
import {
  Residency,
  type OpenStage,
  type ResidentStage,
  type StageParts,
} from "../../src/session/residency.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { WeightBank } from "../../src/session/weight-bank.ts";
import { memoryKeyValue } from "../../src/weights/key-value.ts";
import { readTensors } from "../../src/weights/read-model.ts";
import { WeightStore } from "../../src/weights/weight-store.ts";

/** An open checkpoint and what is inside its stages. */
export interface OpenNexusGen {
  readonly stages: Stages;
  readonly config: NexusGenConfig;
  readonly core: NexusCore;
  readonly generation: OpenDecoder;
  readonly editing?: OpenDecoder;
  dispose(): Promise<void>;
}

/** The stages of a decoder. */
export interface OpenDecoder {
  readonly times: NexusTimes;
  readonly painter: NexusPainter;
}

/** Imports and compiles. The runtime is disposed with the model. */
export async function openNexusGen(
  location: SourceLocation,
  quantization: Quantization,
  runtime: Runtime,
): Promise<OpenNexusGen> {
  const store = new WeightStore(memoryKeyValue(), "memory");
  const quiet = { onProgress: () => undefined, signal: new AbortController().signal };
  const request = { location, quantization, companions: {} };
  const { manifestKey } = await importModel(request, store, quiet);
  const manifest = await store.readManifest(manifestKey);
  if (manifest === undefined) throw new Error("an imported model has a manifest");
  const weights = new WeightBank(runtime, (names) =>
    readTensors(store, manifest, { names, ...quiet }),
  );
  const residency = new OpenResidency(weights);
  const files = parseFiles(manifest.files);
  const tensors = new Set(manifest.recipes.map(({ tensor }) => tensor));
  const config = nexusGen.parse(files, tensors);
  const stages = await nexusGen.createStages({
    config,
    files,
    runtime,
    weights,
    residency,
    quantization,
  });
  const decoder = async (name: string): Promise<OpenDecoder> => ({
    times: (await residency.named.get(`${name} times`)?.enter()) as NexusTimes,
    painter: (await residency.named.get(name)?.enter()) as NexusPainter,
  });
  return {
    stages,
    config,
    core: (await residency.named.get("core")?.enter()) as NexusCore,
    generation: await decoder("generation"),
    ...(config.editing && { editing: await decoder("editing") }),
    dispose: async () => {
      await stages.dispose();
      weights.dispose();
      await runtime.dispose();
    },
  };
}

class OpenResidency extends Residency {
  readonly named = new Map<string, ResidentStage<OpenStage>>();

  override add<Open extends OpenStage>(parts: StageParts<Open>): ResidentStage<Open> {
    const stage = super.add(parts);
    this.named.set(parts.name, stage);
    return stage;
  }
}
