// The rectified-flow loop. Knows latents, a velocity field and a schedule; knows nothing about models,
// prompts or onnxruntime. All state stays on the device: from the first noise to the last latent nothing
// is read back and nothing is uploaded. At most two steps are in flight, so an abort takes one step.
import type { Runtime, Tensor } from "../session/runtime.ts";

/** dx/dt = v(x, t) on the device: what is integrated. */
export interface VelocityField {
  /** x, f32 [channels, height, width], read and written in place. */
  readonly latents: Tensor;
  /** v, f32: rows conditional, unconditional (or the conditional alone), each as long as latents. */
  readonly velocity: Tensor;
  /** t, f32 [1], read by `evaluate`. */
  readonly time: Tensor;
  /** Computes `velocity` from `latents` and `time`; returns when the work is queued. */
  evaluate(): Promise<void>;
}

/** One step that the device has finished. */
export interface FlowStep {
  /** 1..steps */
  readonly step: number;
  /** True when no later step is in flight: the latents are those of this step. */
  readonly isSettled: boolean;
}

/** How a field is integrated. */
export interface IntegrateOptions {
  /** steps + 1 times, first to last. */
  readonly times: Float32Array<ArrayBuffer>;
  /** Weight of the conditional velocity against the unconditional one; unused with one row. */
  readonly guidance: number;
  /** Let nothing run ahead after every this many steps, so that the caller may look at the latents; 0 = never. */
  readonly settleEvery?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Steps that may be queued beyond the last one known to be finished. */
const STEPS_IN_FLIGHT = 2;

/**
 * Integrates from `times[0]` to the last time by Euler steps, x <- x + dt * v, with classifier-free
 * guidance v = v_u + w (v_c - v_u) in the same kernel.
 *
 * `field.latents` must hold the first noise. Yields every step once the device has finished it.
 *
 * @throws the signal's reason, at most one step after it fires
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/demo/app_janusflow.py#L72-L139
 */
export async function* integrate(
  runtime: Runtime,
  field: VelocityField,
  { times, guidance, settleEvery = 0, signal }: IntegrateOptions,
): AsyncGenerator<FlowStep, void, undefined> {
  const steps = times.length - 1;
  const schedule = runtime.createTensor("f32", [times.length], times);
  const index = runtime.createTensor("u32", [1]);
  try {
    runtime.write(field.time, times.subarray(0, 1));
    const { latents, velocity, time } = field;
    const binding = { latents, velocity, guidance, times: schedule, index, time };
    const advance = runtime.kernels.guidedEuler(binding);

    const fences: Promise<void>[] = [];
    let finished = 0;
    for (let step = 1; step <= steps; step++) {
      signal?.throwIfAborted();
      await field.evaluate();
      advance();
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
    schedule.dispose();
    index.dispose();
  }
}
