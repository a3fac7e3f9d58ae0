import { describe, expect, test } from "vitest";
import { scaledFrequency } from "../../../../src/graph/blocks/rope-scaling.ts";

// LLaMA-3.1's numbers.
const SCALING = { factor: 8, slowTurns: 1, fastTurns: 4, originalPositions: 8192 };
const turning = (turns: number): number => (turns * 2 * Math.PI) / SCALING.originalPositions;

describe("scaledFrequency", () => {
  test("leaves fast rotations and slows slow ones by the factor", () => {
    expect(scaledFrequency(1, SCALING)).toBe(1);
    expect(scaledFrequency(turning(0.5), SCALING)).toBeCloseTo(turning(0.5) / 8, 12);
  });

  test("goes from one to the other without a jump", () => {
    for (const turns of [SCALING.slowTurns, SCALING.fastTurns]) {
      const [below, above] = [turns * (1 - 1e-6), turns * (1 + 1e-6)].map((at) =>
        scaledFrequency(turning(at), SCALING),
      );
      expect(Math.abs((below ?? 0) / (above ?? 1) - 1)).toBeLessThan(1e-5);
    }
  });
});
