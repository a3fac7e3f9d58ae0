// The tables of a rotary core on the device, under the names of `llamaBody`'s inputs.
import type { FloatType } from "../base/dtype.ts";
import { f32ToF16 } from "../base/float16.ts";
import { ropeTables, type LlamaConfig } from "../graph/blocks/llama.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";

/** cos and sin of `positions` slots, [positions, head size / 2] each. */
export function ropeTensors(
  runtime: Runtime,
  language: Pick<LlamaConfig, "headDim" | "ropeTheta" | "ropeScaling">,
  positions: number,
): Record<"rope.cos" | "rope.sin", Tensor> {
  const { cos, sin } = ropeTables(language, positions);
  const shape = [positions, language.headDim / 2];
  return {
    "rope.cos": runtime.createTensor(runtime.float, shape, inFloat(runtime.float, cos)),
    "rope.sin": runtime.createTensor(runtime.float, shape, inFloat(runtime.float, sin)),
  };
}

function inFloat(float: FloatType, values: Float32Array): ArrayBufferView {
  return float === "f16" ? f32ToF16(values) : values;
}
