// Binds solver-step.wgsl and check-finite.wgsl: guidance over the rows of a velocity, one move of the solver,
// whether its numbers are numbers, the next time.
import { assert } from "../../base/assert.ts";
import { elementCount } from "../../base/shape.ts";
import { workgroupsFor } from "../kernel.ts";
import type { KernelBinder } from "../kernel.ts";
import type { GpuTensor } from "../tensor.ts";
import checkCode from "./check-finite.wgsl?raw";
import code from "./solver-step.wgsl?raw";

/** Tensors of {@link bindSolverStep}; f32 unless said. */
export interface SolverStepBinding {
  /** x, any shape. */
  readonly latents: GpuTensor;
  /** x at the start of the step, as long as latents. */
  readonly start: GpuTensor;
  /** One row for each weight, each as long as latents. */
  readonly velocity: GpuTensor;
  /** 1 to 4. */
  readonly weights: readonly number[];
  /** [evaluations, 2] */
  readonly moves: GpuTensor;
  /** [evaluations, width of time] */
  readonly times: GpuTensor;
  /** u32 [2] */
  readonly progress: GpuTensor;
  /** What the field reads. */
  readonly time: GpuTensor;
}

const MAX_ROWS = 4;

/** Three dispatches in one submit: the move, the check, then progress and time. */
export function bindSolverStep(binder: KernelBinder, binding: SolverStepBinding): () => void {
  const { latents, start, velocity, weights, moves, times, progress, time } = binding;
  const elements = elementCount(latents.shape);
  assert(
    weights.length >= 1 && weights.length <= MAX_ROWS,
    `velocity has 1 to ${MAX_ROWS} rows, got ${weights.length} weights`,
  );
  assert(
    elementCount(velocity.shape) === weights.length * elements,
    "velocity has one row of latents for each weight",
  );
  const evaluations = elementCount(moves.shape) / 2;
  const padded = Array.from({ length: MAX_ROWS }, (_, row) => ({ f32: weights[row] ?? 0 }));
  const uniforms = [
    { u32: elements },
    { u32: weights.length },
    { u32: evaluations },
    { u32: elementCount(times.shape) / evaluations },
    ...padded,
  ];
  const name = "solver-step";
  return binder.dispatch([
    binder.bind(
      { name, code, entryPoint: "move_latents" },
      {
        uniforms,
        tensors: { 1: latents, 2: start, 3: velocity, 4: moves, 5: progress },
        workgroups: workgroupsFor(elements, 256),
      },
    ),
    binder.bind(
      { name: "check-finite", code: checkCode, entryPoint: "check" },
      {
        uniforms: [{ u32: elements }, { u32: evaluations }],
        tensors: { 1: latents, 2: progress },
        workgroups: workgroupsFor(elements, 256),
      },
    ),
    binder.bind(
      { name, code, entryPoint: "advance" },
      { uniforms, tensors: { 5: progress, 6: times, 7: time }, workgroups: 1 },
    ),
  ]);
}
