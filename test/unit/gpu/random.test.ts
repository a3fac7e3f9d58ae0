import { describe, expect, test } from "vitest";
import { seedWords, uniformOf } from "../../../src/gpu/random.ts";

describe("seedWords", () => {
  test("splits a seed into its low and high words", () => {
    expect(seedWords(5)).toEqual([5, 0]);
    expect(seedWords(2 ** 33 + 7)).toEqual([7, 2]);
    expect(seedWords(-1)).toEqual([0xffffffff, 0xffffffff]);
  });
});

describe("uniformOf", () => {
  const sample = (seed: number) => Array.from({ length: 4096 }, (_, n) => uniformOf(seed, n));

  test("stays in [0, 1)", () => {
    expect(sample(3).every((u) => u >= 0 && u < 1)).toBe(true);
  });

  test("fills 16 bins evenly (chi-square, 15 degrees of freedom, p = 0.001)", () => {
    for (const seed of [0, 1, 12345, 2 ** 52]) {
      const bins = Array.from({ length: 16 }, () => 0);
      for (const u of sample(seed)) bins[Math.floor(u * 16)] = (bins[Math.floor(u * 16)] ?? 0) + 1;
      const chi = bins.reduce((sum, seen) => sum + (seen - 256) ** 2 / 256, 0);
      expect(chi).toBeLessThan(37.7);
    }
  });

  test("of neighbouring seeds are unrelated", () => {
    const [a, b] = [sample(7), sample(8)];
    const mean = a.reduce((sum, u, n) => sum + (u - 0.5) * ((b[n] ?? 0) - 0.5), 0) / a.length;
    expect(Math.abs(mean * 12)).toBeLessThan(0.06);
  });
});
