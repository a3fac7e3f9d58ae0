// Numbers of JavaScript as tensors of the type that the graphs compute in.
import { f32ToF16 } from "../base/float16.ts";
import type { Shape } from "../base/shape.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";

/** A tensor of these numbers in the runtime's float type. */
export function floatTensor(runtime: Runtime, shape: Shape, values: Float32Array): Tensor {
  return runtime.createTensor(runtime.float, shape, inFloat(runtime, values));
}

/** Overwrites the beginning of a tensor of the runtime's float type. */
export function writeFloats(runtime: Runtime, tensor: Tensor, values: Float32Array): void {
  runtime.write(tensor, inFloat(runtime, values));
}

/** i64 [1, slots]: 0, 1, ... for graphs whose tables have one row for each slot. */
export function slotNumbers(runtime: Runtime, slots: number): Tensor {
  const numbers = BigInt64Array.from({ length: slots }, (_, slot) => BigInt(slot));
  return runtime.createTensor("i64", [1, slots], numbers);
}

/** Outputs of a session as tensors that outlive it: onnxruntime frees its own with the session. */
export function keepOutputs(
  runtime: Runtime,
  outputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const kept = Object.entries(outputs).map(([name, output]) => {
    const own = runtime.createTensor(output.dtype, output.shape);
    runtime.copy(output, own);
    output.dispose();
    return [name, own] as const;
  });
  return Object.fromEntries(kept);
}

function inFloat({ float }: Runtime, values: Float32Array): ArrayBufferView {
  return float === "f16" ? f32ToF16(values) : values;
}
