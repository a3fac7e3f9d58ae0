// A golden JanusFlow checkpoint as the tests of graphs need it: sizes, weights, reference numbers.
import { readFileSync } from "node:fs";
import { parseJanusFlowConfig, type JanusFlowConfig } from "../../src/models/janus-flow/config.ts";
import { readCheckpointFiles } from "./checkpoint-files.ts";
import { checkpointWeights } from "./checkpoint-weights.ts";
import { parseGoldens } from "./safetensors-file.ts";
import type { WeightValues } from "./store-weight.ts";

/** Sizes, weights and reference numbers of one checkpoint. */
export interface GoldenCheckpoint {
  readonly config: JanusFlowConfig;
  readonly weights: WeightValues;
  /** Numbers of a tensor in goldens.safetensors. */
  readonly golden: (name: string) => ArrayLike<number>;
}

/** Reads test/golden/janus-flow/<name>. */
export function openGolden(name: "a" | "b"): GoldenCheckpoint {
  const folder = new URL(`../golden/janus-flow/${name}/`, import.meta.url);
  const checkpoint = new URL("checkpoint/", folder);
  const tensors = parseGoldens(readFileSync(new URL("goldens.safetensors", folder)));
  return {
    config: parseJanusFlowConfig(readCheckpointFiles(checkpoint)),
    weights: checkpointWeights(checkpoint),
    golden(key) {
      const tensor = tensors.get(key);
      if (tensor === undefined) throw new Error(`golden ${name} has no ${key}`);
      return tensor.values;
    },
  };
}
