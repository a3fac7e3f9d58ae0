// Binds guided-euler.wgsl: one Euler step with classifier-free guidance and the move to the next time.
import { assert } from "../../base/assert.ts";
import { elementCount } from "../../base/shape.ts";
import { workgroupsFor } from "../kernel.ts";
import type { KernelBinder } from "../kernel.ts";
import type { GpuTensor } from "../tensor.ts";
import code from "./guided-euler.wgsl?raw";

/** Tensors of {@link bindGuidedEuler}; f32 unless said. */
export interface GuidedEulerBinding {
  /** x, any shape. */
  readonly latents: GpuTensor;
  /** Rows conditional, unconditional (or the conditional alone), each as long as latents. */
  readonly velocity: GpuTensor;
  readonly guidance: number;
  /** steps + 1 values. */
  readonly times: GpuTensor;
  /** u32 [1] */
  readonly index: GpuTensor;
  /** [1] */
  readonly time: GpuTensor;
}

/** Two dispatches in one submit: the step, then index and time. */
export function bindGuidedEuler(binder: KernelBinder, binding: GuidedEulerBinding): () => void {
  const { latents, velocity, guidance, times, index, time } = binding;
  const elements = elementCount(latents.shape);
  const rows = elementCount(velocity.shape) / elements;
  assert(rows === 1 || rows === 2, "velocity has one or two rows of latents");
  const uniforms = [
    { u32: elements },
    { u32: rows },
    { u32: elementCount(times.shape) - 1 },
    { f32: guidance },
  ];
  const name = "guided-euler";
  return binder.dispatch([
    binder.bind(
      { name, code, entryPoint: "euler_step" },
      {
        uniforms,
        tensors: { 1: latents, 2: velocity, 3: times, 4: index },
        workgroups: workgroupsFor(elements, 256),
      },
    ),
    binder.bind(
      { name, code, entryPoint: "advance" },
      { uniforms, tensors: { 3: times, 4: index, 5: time }, workgroups: 1 },
    ),
  ]);
}
