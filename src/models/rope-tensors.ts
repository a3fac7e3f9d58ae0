// The tables of a rotary core on the device, under the names of `llamaBody`'s inputs.
import { ropeTables, type LlamaConfig } from "../graph/blocks/llama.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import { floatTensor } from "./floats.ts";

/** cos and sin of `positions` slots, [positions, head size / 2] each. */
export function ropeTensors(
  runtime: Runtime,
  language: Pick<LlamaConfig, "headDim" | "ropeTheta" | "ropeScaling">,
  positions: number,
): Record<"rope.cos" | "rope.sin", Tensor> {
  const { cos, sin } = ropeTables(language, positions);
  const shape = [positions, language.headDim / 2];
  return {
    "rope.cos": floatTensor(runtime, shape, cos),
    "rope.sin": floatTensor(runtime, shape, sin),
  };
}
