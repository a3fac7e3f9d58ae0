// Binds find-broken.wgsl: where numbers of a tensor are none.
import { assert } from "../../base/assert.ts";
import { elementCount } from "../../base/shape.ts";
import { workgroupsFor } from "../kernel.ts";
import type { KernelBinder } from "../kernel.ts";
import type { GpuTensor } from "../tensor.ts";
import code from "./find-broken.wgsl?raw";

/** Tensors of {@link bindFindBroken}. */
export interface FindBrokenBinding {
  /** f32 or f16, any shape */
  readonly values: GpuTensor;
  /** u32 [2], both 0 */
  readonly report: GpuTensor;
}

/** One dispatch. */
export function bindFindBroken(
  binder: KernelBinder,
  { values, report }: FindBrokenBinding,
): () => void {
  assert(
    values.dtype === "f32" || values.dtype === "f16",
    `floats are looked at, not ${values.dtype}`,
  );
  const elements = elementCount(values.shape);
  const halves = values.dtype === "f16" ? 1 : 0;
  return binder.dispatch([
    binder.bind(
      { name: "find-broken", code, entryPoint: "find" },
      {
        uniforms: [{ u32: elements }, { u32: halves }],
        tensors: { 1: values, 2: report },
        workgroups: workgroupsFor(Math.ceil(elements / (1 + halves)), 256),
      },
    ),
  ]);
}
