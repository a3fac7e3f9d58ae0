// How long a call has run and how long it may still take: real units over real time.
import type { Pace } from "../base/events.ts";

/** A running clock over `total` units of work; without a total no time left is given. */
export interface PaceClock {
  at(done: number): Pace;
}

/** Starts a clock. `secondsLeft` assumes that the rest goes as fast as what is done. */
export function startPace(total?: number): PaceClock {
  const started = performance.now();
  return {
    at(done) {
      const elapsedSeconds = (performance.now() - started) / 1000;
      if (total === undefined || done <= 0) return { elapsedSeconds };
      return { elapsedSeconds, secondsLeft: (elapsedSeconds / done) * Math.max(0, total - done) };
    },
  };
}
