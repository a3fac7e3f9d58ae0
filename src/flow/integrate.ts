// The rectified-flow loop. Knows latents, a velocity field and a schedule; knows nothing about models,
// prompts or onnxruntime. All state stays on the device: from the first noise to the last latent nothing
// is read back and nothing is uploaded. At most two steps are in flight, so an abort takes one step.
import type { DrawingStep } from "../base/drawing.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import type { Schedule } from "./schedule.ts";

/** dx/dt = v(x, t) on the device: what is integrated. */
export interface VelocityField {
  /** x, f32 [channels, height, width], read and written in place. */
  readonly latents: Tensor;
  /** v, f32: one row for each weight of the guidance, each as long as latents. */
  readonly velocity: Tensor;
  /** t, f32 [time width of the schedule], read by `evaluate`. */
  readonly time: Tensor;
  /** Computes `velocity` from `latents` and `time`; returns when the work is queued. */
  evaluate(): Promise<void>;
}

/** How a field is integrated. */
export interface IntegrateOptions {
  readonly schedule: Schedule;
  /**
   * v = sum of weights[r] * velocity[r]: [1] without guidance, [w, 1 - w] for rows conditional and
   * unconditional.
   */
  readonly weights: readonly number[];
  /** u32 [2], written: evaluations done, and the mark of the first that broke ({@link brokenStep}). */
  readonly progress: Tensor;
  /** Let nothing run ahead after every this many steps, so that the caller may look at the latents; 0 = never. */
  readonly settleEvery?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Steps that may be queued beyond the last one known to be finished. */
const STEPS_IN_FLIGHT = 2;

/**
 * Integrates a schedule, x <- start + delta * v for each of its evaluations, with guidance over the rows of
 * the velocity in the same kernel.
 *
 * `field.latents` must hold the first noise. Yields every step once the device has finished it.
 *
 * @throws the signal's reason, at most one step after it fires
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/demo/app_janusflow.py#L72-L139
 */
export async function* integrate(
  runtime: Runtime,
  field: VelocityField,
  { schedule, weights, progress, settleEvery = 0, signal }: IntegrateOptions,
): AsyncGenerator<DrawingStep, void, undefined> {
  const { steps } = schedule;
  const perStep = evaluationsOf(schedule) / steps;
  const solver = bindSolver(runtime, field, schedule, { weights, progress });
  try {
    const fences: Promise<void>[] = [];
    let finished = 0;
    for (let step = 1; step <= steps; step++) {
      signal?.throwIfAborted();
      for (let evaluation = 0; evaluation < perStep; evaluation++) {
        await field.evaluate();
        solver.move();
      }
      fences.push(runtime.fence());
      const mustSettle = settleEvery > 0 && step % settleEvery === 0;
      while (finished < step - (mustSettle ? 0 : STEPS_IN_FLIGHT - 1)) {
        await fences[finished];
        finished += 1;
        yield { step: finished, isSettled: finished === step };
      }
    }
    while (finished < steps) {
      await fences[finished];
      finished += 1;
      yield { step: finished, isSettled: finished === steps };
    }
    signal?.throwIfAborted();
  } finally {
    solver.dispose();
  }
}

/** The step, from 1, whose numbers were the first that are none; undefined when all are numbers. */
export function brokenStep(schedule: Schedule, mark: number): number | undefined {
  const evaluations = evaluationsOf(schedule);
  if (mark === 0) return undefined;
  return Math.floor((evaluations - mark) / (evaluations / schedule.steps)) + 1;
}

/** Evaluations of the velocity in the whole schedule. */
export function evaluationsOf({ moves }: Schedule): number {
  return moves.length / 2;
}

/** Everything the loop needs on the device, uploaded before its first step. */
function bindSolver(
  runtime: Runtime,
  { latents, velocity, time }: VelocityField,
  { moves, times, timeWidth }: Schedule,
  bound: Pick<IntegrateOptions, "weights" | "progress">,
) {
  const state = {
    start: runtime.createTensor("f32", latents.shape),
    moves: runtime.createTensor("f32", [moves.length / 2, 2], moves),
    times: runtime.createTensor("f32", [times.length / timeWidth, timeWidth], times),
  };
  runtime.write(bound.progress, new Uint32Array(2));
  runtime.copy(latents, state.start);
  runtime.write(time, times.subarray(0, timeWidth));
  const move = runtime.kernels.solverStep({ latents, velocity, time, ...bound, ...state });
  const dispose = (): void => Object.values(state).forEach((tensor) => tensor.dispose());
  return { move, dispose };
}
