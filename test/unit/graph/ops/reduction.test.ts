import { describe, expect, test } from "vitest";
import {
  argMax,
  instanceNormalization,
  layerNormalization,
  reduceL2,
  reduceMean,
  simplifiedLayerNorm,
} from "../../../../src/graph/ops/reduction.ts";
import "../../../support/allclose.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

const EPS = 1e-2; // large, so that a forgotten epsilon shows
const X = waves(24);
const mean = (numbers: Float32Array): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;

/** Rows of `width` numbers, each as `change` makes it. */
function byRow(
  width: number,
  change: (row: Float32Array, index: number) => ArrayLike<number>,
): number[] {
  return Array.from({ length: X.length / width }, (_, index) =>
    Array.from(change(X.slice(index * width, (index + 1) * width), index)),
  ).flat();
}

/** (x - mean) / sqrt(variance + EPS) */
function standardized(row: Float32Array): Float32Array {
  const middle = mean(row);
  const variance = mean(row.map((x) => (x - middle) ** 2));
  return row.map((x) => (x - middle) / Math.sqrt(variance + EPS));
}

describe("reductions", () => {
  test("reduceMean keeps its axes with size 1", async () => {
    const y = await evaluate((g) => reduceMean(g, g.input("x", "f32", [4, 6]), [1]), {
      inputs: { x: X },
    });
    expect(y.shape).toEqual([4, 1]);
    expect(y.values).toBeAllclose(byRow(6, (row) => [mean(row)]));
  });

  test("argMax gives the first of the largest along the last axis", async () => {
    const x = [1, 5, 5, -3, -2, -9];
    const y = await evaluate((g) => argMax(g, g.input("x", "f32", [2, 3])), { inputs: { x } });
    expect(y.shape).toEqual([2]);
    expect([...y.values]).toEqual([1, 1]);
  });

  test("reduceL2 takes several axes", async () => {
    const y = await evaluate((g) => reduceL2(g, g.input("x", "f32", [2, 3, 4]), [1, 2]), {
      inputs: { x: X },
    });
    expect(y.shape).toEqual([2, 1, 1]);
    expect(y.values).toBeAllclose(byRow(12, (row) => [Math.hypot(...row)]));
  });
});

describe("normalizations", () => {
  const [weight, bias] = [waves(6, 1), waves(6, 2)];

  test("simplifiedLayerNorm divides by the root of the mean square", async () => {
    const y = await evaluate(
      (g) => simplifiedLayerNorm(g, g.input("x", "f32", [4, 6]), g.input("w", "f32", [6]), EPS),
      { inputs: { x: X, w: weight } },
    );
    const expected = byRow(6, (row) => {
      const rms = Math.sqrt(mean(row.map((x) => x * x)) + EPS);
      return row.map((x, i) => (x / rms) * (weight[i] ?? 0));
    });
    expect(y.values).toBeAllclose(expected);
  });

  test("layerNormalization has mean 0 and variance 1 before weight and bias", async () => {
    const y = await evaluate(
      (g) =>
        layerNormalization(
          g,
          g.input("x", "f32", [4, 6]),
          g.input("w", "f32", [6]),
          g.input("b", "f32", [6]),
          EPS,
        ),
      { inputs: { x: X, w: weight, b: bias } },
    );
    const expected = byRow(6, (row) =>
      standardized(row).map((x, i) => x * (weight[i] ?? 0) + (bias[i] ?? 0)),
    );
    expect(y.values).toBeAllclose(expected);
  });

  test("instanceNormalization standardizes each channel of each picture", async () => {
    const [scale, shift] = [waves(3, 1), waves(3, 2)];
    const y = await evaluate(
      (g) =>
        instanceNormalization(
          g,
          g.input("x", "f32", [2, 3, 4]),
          g.input("s", "f32", [3]),
          g.input("b", "f32", [3]),
          EPS,
        ),
      { inputs: { x: X, s: scale, b: shift } },
    );
    const expected = byRow(4, (row, index) =>
      standardized(row).map((x) => x * (scale[index % 3] ?? 0) + (shift[index % 3] ?? 0)),
    );
    expect(y.values).toBeAllclose(expected);
  });
});
