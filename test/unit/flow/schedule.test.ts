import { describe, expect, test } from "vitest";
import { eulerSchedule, midpointSchedule, uniformLevels } from "../../../src/flow/schedule.ts";

describe("uniformLevels", () => {
  test("starts at exactly 0, ends at exactly 1, and only grows", () => {
    for (const steps of [1, 2, 7, 30, 1000]) {
      const times = uniformLevels(steps);
      expect(times).toHaveLength(steps + 1);
      expect(times[0]).toBe(0);
      expect(times[steps]).toBe(1);
      expect(times.every((t, k) => k === 0 || t > (times[k - 1] ?? 1))).toBe(true);
    }
  });

  test.each([0, -1, 1.5, NaN, 1001])("refuses %s steps", (steps) => {
    expect(() => uniformLevels(steps)).toThrow(RangeError);
  });
});

describe("eulerSchedule", () => {
  test("moves from level to level and reads the level each step starts at", () => {
    const { steps, moves, times, timeWidth } = eulerSchedule(Float32Array.of(0, 0.25, 1));
    expect({ steps, timeWidth }).toEqual({ steps: 2, timeWidth: 1 });
    expect([...moves]).toEqual([0.25, 1, 0.75, 1]);
    expect([...times]).toEqual([0, 0.25]);
  });

  test("hands on times of its caller's, several numbers for each step", () => {
    const times = Float32Array.of(9, 8, 7, 6);
    const schedule = eulerSchedule(Float32Array.of(3, 1, 0), { times, noiseScale: 3 });
    expect(schedule).toMatchObject({ steps: 2, timeWidth: 2, noiseScale: 3 });
    expect([...schedule.moves]).toEqual([-2, 1, -1, 1]);
  });
});

describe("midpointSchedule", () => {
  test("goes half a step, then the whole one", () => {
    const { steps, moves, times } = midpointSchedule(Float32Array.of(0, 0.5, 1));
    expect(steps).toBe(2);
    expect([...moves]).toEqual([0.25, 0, 0.5, 1, 0.25, 0, 0.5, 1]);
    expect([...times]).toEqual([0, 0.25, 0.5, 0.75]);
  });
});
