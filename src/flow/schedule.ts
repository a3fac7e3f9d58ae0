// Schedules of a flow: which times are evaluated and how far each evaluation moves. Pure numbers.

/** Most steps that a request may ask for. */
export const MAX_STEPS = 1000;

/** A solver written down as a table with one row for each evaluation of the velocity. */
export interface Schedule {
  /** Solver steps; each is one evaluation or more. */
  readonly steps: number;
  /**
   * [evaluations, 2]: `delta`, how far x moves from the step's start along the velocity, and 1 where that
   * ends the step (x becomes the next start), else 0.
   */
  readonly moves: Float32Array<ArrayBuffer>;
  /** [evaluations, timeWidth]: what the field reads as its time before each evaluation. */
  readonly times: Float32Array<ArrayBuffer>;
  /** Numbers that the field reads for one evaluation; 1 unless it wants more than the time. */
  readonly timeWidth: number;
  /** The first noise is standard normal times this. */
  readonly noiseScale: number;
}

/**
 * Evenly spaced levels from 0 (noise) to 1 (data), as JanusFlow and OmniGen integrate them.
 *
 * @param steps - 1..1000
 * @returns `steps + 1` values, first 0, last 1, each k / steps rounded to f32 once
 * @throws RangeError when `steps` is not an integer in range
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/demo/app_janusflow.py#L92
 */
export function uniformLevels(steps: number): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS) {
    throw new RangeError(`steps must be an integer from 1 to ${MAX_STEPS}, got ${steps}.`);
  }
  return Float32Array.from({ length: steps + 1 }, (_, k) => k / steps);
}

/** What a schedule may have beside its levels. */
export interface EulerOptions {
  /** [steps, timeWidth]: what the field reads; default: the level at which each step starts. */
  readonly times?: Float32Array<ArrayBuffer>;
  readonly noiseScale?: number;
}

/** One evaluation a step: x <- x + (levels[k + 1] - levels[k]) * v(levels[k]). */
export function eulerSchedule(
  levels: Float32Array<ArrayBuffer>,
  { times = levels.slice(0, -1), noiseScale = 1 }: EulerOptions = {},
): Schedule {
  const steps = levels.length - 1;
  const moves = new Float32Array(2 * steps);
  for (let k = 0; k < steps; k++) moves.set([(levels[k + 1] ?? 0) - (levels[k] ?? 0), 1], 2 * k);
  return { steps, moves, times, timeWidth: times.length / steps, noiseScale };
}

/** Two evaluations a step: half a step with the velocity at its start, then the whole with that at its middle. */
export function midpointSchedule(levels: Float32Array<ArrayBuffer>): Schedule {
  const steps = levels.length - 1;
  const moves = new Float32Array(4 * steps);
  const times = new Float32Array(2 * steps);
  for (let k = 0; k < steps; k++) {
    const start = levels[k] ?? 0;
    const dt = (levels[k + 1] ?? 0) - start;
    moves.set([dt / 2, 0, dt, 1], 4 * k);
    times.set([start, start + dt / 2], 2 * k);
  }
  return { steps, moves, times, timeWidth: 1, noiseScale: 1 };
}
