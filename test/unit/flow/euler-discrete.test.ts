import { describe, expect, test } from "vitest";
import { eulerDiscreteSchedule } from "../../../src/flow/euler-discrete.ts";
import { readPiscesGoldens } from "../../support/pisces-goldens.ts";

const SDXL = { trainSteps: 1000, betaStart: 0.00085, betaEnd: 0.012, stepsOffset: 1 };

describe("eulerDiscreteSchedule", () => {
  const { schedules } = readPiscesGoldens("b").json.generate;

  test.each(Object.entries(schedules))("has diffusers' numbers for %s steps", (steps, golden) => {
    const { moves, times, timeWidth, noiseScale } = eulerDiscreteSchedule(Number(steps), SDXL);
    const { sigmas, timesteps } = golden;
    expect(timeWidth).toBe(2);
    expect(Math.abs(noiseScale / golden.noiseScale - 1)).toBeLessThan(1e-6);
    for (const [k, timestep] of timesteps.entries()) {
      const [from = 0, to = 0] = sigmas.slice(k, k + 2);
      expect(times[2 * k + 1]).toBe(timestep);
      expect(times[2 * k]).toBeCloseTo(1 / Math.hypot(from, 1), 5);
      expect(moves[2 * k]).toBeCloseTo(to - from, 4);
      expect(moves[2 * k + 1]).toBe(1);
    }
  });

  test("moves from the noisiest sigma to 0 at any number of steps", () => {
    for (const steps of [1, 3, 30, 999, 1000]) {
      const { moves, times } = eulerDiscreteSchedule(steps, SDXL);
      const deltas = moves.filter((_, at) => at % 2 === 0);
      const first = Math.sqrt((times[0] ?? 1) ** -2 - 1);
      const sum = deltas.reduce((all, delta) => all + delta, 0);
      expect(Math.abs(sum / first + 1)).toBeLessThan(1e-3);
      expect(deltas.every((delta) => delta <= 0)).toBe(true);
    }
  });

  test.each([0, 1.5, NaN, 1001])("refuses %s steps", (steps) => {
    expect(() => eulerDiscreteSchedule(steps, SDXL)).toThrow(RangeError);
  });
});
