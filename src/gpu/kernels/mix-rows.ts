// Binds mix-rows.wgsl: a weighted sum of rows.
import { assert } from "../../base/assert.ts";
import { elementCount } from "../../base/shape.ts";
import { workgroupsFor } from "../kernel.ts";
import type { KernelBinder } from "../kernel.ts";
import type { GpuTensor } from "../tensor.ts";
import code from "./mix-rows.wgsl?raw";

/** Tensors of {@link bindMixRows}, f32. */
export interface MixRowsBinding {
  /** One row for each weight, each as long as mixed. */
  readonly rows: GpuTensor;
  /** 1 to 4. */
  readonly weights: readonly number[];
  readonly mixed: GpuTensor;
}

const MAX_ROWS = 4;

/** One dispatch. */
export function bindMixRows(binder: KernelBinder, binding: MixRowsBinding): () => void {
  const { rows, weights, mixed } = binding;
  const elements = elementCount(mixed.shape);
  assert(
    weights.length >= 1 && weights.length <= MAX_ROWS,
    `there are 1 to ${MAX_ROWS} rows, got ${weights.length} weights`,
  );
  assert(
    elementCount(rows.shape) === weights.length * elements,
    "rows holds one row of mixed for each weight",
  );
  const padded = Array.from({ length: MAX_ROWS }, (_, row) => ({ f32: weights[row] ?? 0 }));
  return binder.dispatch([
    binder.bind(
      { name: "mix-rows", code, entryPoint: "mix_rows" },
      {
        uniforms: [{ u32: elements }, { u32: weights.length }, ...padded],
        tensors: { 1: rows, 2: mixed },
        workgroups: workgroupsFor(elements, 256),
      },
    ),
  ]);
}
