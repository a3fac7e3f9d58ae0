// diffusers' EulerDiscreteScheduler as a table: a network that predicts noise, integrated over sigmas. The
// predicted noise is dx/dsigma, so Euler's rule is the plain one. Pure numbers.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/schedulers/scheduling_euler_discrete.py
import { eulerSchedule, type Schedule } from "./schedule.ts";

/** Numbers of a scheduler_config.json, with leading spacing and a scaled_linear beta schedule. */
export interface EulerDiscreteConfig {
  /** Steps that the training counted. */
  readonly trainSteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  /** Added to every time. */
  readonly stepsOffset: number;
}

/**
 * Sigmas from the noisiest to 0. The field reads two numbers before each step: what x is multiplied by,
 * 1 / sqrt(sigma^2 + 1), and the time as the training counted it.
 *
 * @param steps - from 1 to the training's
 * @throws RangeError when `steps` is not an integer in range
 */
export function eulerDiscreteSchedule(steps: number, config: EulerDiscreteConfig): Schedule {
  const { trainSteps, stepsOffset } = config;
  if (!Number.isInteger(steps) || steps < 1 || steps > trainSteps) {
    throw new RangeError(`steps must be an integer from 1 to ${trainSteps}, got ${steps}.`);
  }
  const all = trainedSigmas(config);
  const stride = Math.floor(trainSteps / steps);
  const times = Array.from({ length: steps }, (_, k) => (steps - 1 - k) * stride + stepsOffset);
  // The offset may lead past the last one, where the reference interpolates to it.
  const sigmas = times.map((time) => all[Math.min(time, trainSteps - 1)] ?? 0);
  const read = times.flatMap((time, k) => [1 / Math.hypot(sigmas[k] ?? 0, 1), time]);
  return eulerSchedule(Float32Array.from([...sigmas, 0]), {
    times: Float32Array.from(read),
    noiseScale: Math.hypot(Math.max(...sigmas), 1),
  });
}

/** Sigma of every time that the training knew, growing. */
function trainedSigmas({ trainSteps, betaStart, betaEnd }: EulerDiscreteConfig): number[] {
  const [first, last] = [Math.sqrt(betaStart), Math.sqrt(betaEnd)];
  let kept = 1;
  return Array.from({ length: trainSteps }, (_, time) => {
    const share = trainSteps === 1 ? 0 : time / (trainSteps - 1);
    kept *= 1 - (first + (last - first) * share) ** 2;
    return Math.sqrt((1 - kept) / kept);
  });
}
