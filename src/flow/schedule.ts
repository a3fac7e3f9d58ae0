// Times of a flow. Pure numbers.

/** Most velocity evaluations that a request may ask for. */
export const MAX_STEPS = 1000;

/**
 * Evenly spaced times from 0 (noise) to 1 (data), as JanusFlow integrates them.
 *
 * @param steps - velocity evaluations, 1..1000
 * @returns `steps + 1` values, first 0, last 1, each k / steps rounded to f32 once
 * @throws RangeError when `steps` is not an integer in range
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/demo/app_janusflow.py#L92
 */
export function uniformTimes(steps: number): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS) {
    throw new RangeError(`steps must be an integer from 1 to ${MAX_STEPS}, got ${steps}.`);
  }
  return Float32Array.from({ length: steps + 1 }, (_, k) => k / steps);
}
