import { describe, expect, test } from "vitest";
import { uniformTimes } from "../../../src/flow/schedule.ts";

describe("uniformTimes", () => {
  test("starts at exactly 0, ends at exactly 1, and only grows", () => {
    for (const steps of [1, 2, 7, 30, 1000]) {
      const times = uniformTimes(steps);
      expect(times).toHaveLength(steps + 1);
      expect(times[0]).toBe(0);
      expect(times[steps]).toBe(1);
      expect(times.every((t, k) => k === 0 || t > (times[k - 1] ?? 1))).toBe(true);
    }
  });

  test.each([0, -1, 1.5, NaN, 1001])("refuses %s steps", (steps) => {
    expect(() => uniformTimes(steps)).toThrow(RangeError);
  });
});
