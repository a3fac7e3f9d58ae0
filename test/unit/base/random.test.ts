import { describe, expect, test } from "vitest";

import { TorchGenerator } from "../../../src/base/random.ts";
import golden from "../../golden/torch-random/torch-random.json" with { type: "json" };

/** What the golden file keeps of one tensor: all values, or both ends and the sum. */
interface Kept {
  readonly values?: readonly number[];
  readonly first?: readonly number[];
  readonly last?: readonly number[];
  readonly sum?: number;
}

// log, sin and cos in float32: 2.4e-7 was seen, and torch's own AVX2 and scalar code differ by 2.2e-6
const NORMAL_TOLERANCE = 1e-6;

function largestDifference(actual: ArrayLike<number>, expected: readonly number[]): number {
  return Math.max(...expected.map((value, i) => Math.abs((actual[i] ?? Number.NaN) - value)));
}

function expectClose(actual: Float32Array, kept: Kept, tolerance: number): void {
  const { values, first = [], last = [], sum: total } = kept;
  if (values) return expect(largestDifference(actual, values)).toBeLessThanOrEqual(tolerance);
  expect(largestDifference(actual, first)).toBeLessThanOrEqual(tolerance);
  const end = actual.subarray(actual.length - last.length);
  expect(largestDifference(end, last)).toBeLessThanOrEqual(tolerance);
  // one wrong value among 9216 would move the sum by far more than the rounding of all of them does
  expect(Math.abs(sum(actual) - (total ?? Number.NaN))).toBeLessThanOrEqual(100 * tolerance);
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}

function firstUniforms(seed: number): Float32Array {
  return new TorchGenerator(seed).rand(4);
}

describe("TorchGenerator", () => {
  test.each(golden.rand)("rand($size) of seed $seed equals torch's", ({ seed, size, ...kept }) => {
    const values = new TorchGenerator(seed).rand(size);
    expect(values).toHaveLength(size);
    expectClose(values, kept, 0);
  });

  test.each(golden.randn)("randn($size) of seed $seed is torch's", ({ seed, size, ...kept }) => {
    const values = new TorchGenerator(seed).randn(size);
    expect(values).toHaveLength(size);
    expectClose(values, kept, NORMAL_TOLERANCE);
  });

  test.each(golden.sequences)(
    "consecutive calls continue the stream of seed $seed",
    ({ seed, calls }) => {
      const generator = new TorchGenerator(seed);
      for (const { kind, size, ...kept } of calls) {
        if (kind === "rand") expectClose(generator.rand(size), kept, 0);
        else expectClose(generator.randn(size), kept, NORMAL_TOLERANCE);
      }
    },
  );

  test("sees a seed modulo 2^32, also a negative one", () => {
    // torch.rand(4, generator=torch.Generator().manual_seed(-42))
    const torch = [0.8673895597457886, 0.2850615978240967, 0.15974026918411255, 0.3553661108016968];
    expect(largestDifference(firstUniforms(-42), torch)).toBe(0);
    expect(firstUniforms(-42)).toEqual(firstUniforms(2 ** 32 - 42));
    expect(firstUniforms(2 ** 32 + 7)).toEqual(firstUniforms(7));
    expect(firstUniforms(7)).not.toEqual(firstUniforms(8));
  });

  test("keeps the second normal of a pair across a long call, as torch does", () => {
    const generator = new TorchGenerator(3);
    generator.randn(1);
    const kept = new TorchGenerator(3).randn(2)[1];
    generator.randn(64);
    expect(generator.randn(1)[0]).toBe(kept);
  });

  test("gives finite normals with mean 0 and variance 1", () => {
    const values = new TorchGenerator(11).randn(100_000);
    const mean = sum(values) / values.length;
    const variance = values.reduce((total, v) => total + (v - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
    expect(values.every((value) => Number.isFinite(value))).toBe(true);
  });

  test("gives nothing, and moves nothing, for a count of 0", () => {
    const generator = new TorchGenerator(5);
    expect(generator.randn(0)).toHaveLength(0);
    expect(generator.rand(1)).toEqual(new TorchGenerator(5).rand(1));
  });

  test.each([1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])("refuses the seed %s", (seed) => {
    expect(() => new TorchGenerator(seed)).toThrow(RangeError);
  });

  test.each([-1, 1.5, Number.NaN])("refuses the count %s", (count) => {
    const generator = new TorchGenerator(0);
    expect(() => generator.rand(count)).toThrow(RangeError);
    expect(() => generator.randn(count)).toThrow(RangeError);
  });
});
