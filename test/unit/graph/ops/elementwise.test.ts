import { describe, expect, test } from "vitest";
import type { GraphBuilder } from "../../../../src/graph/builder.ts";
import type { Value } from "../../../../src/graph/graph.ts";
import {
  add,
  broadcast,
  div,
  floor,
  gelu,
  max,
  mul,
  sigmoid,
  silu,
  softmax,
  sub,
} from "../../../../src/graph/ops/elementwise.ts";
import "../../../support/allclose.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

const X = waves(24).map((x) => x * 4);

describe("functions of one value", () => {
  const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
  test.each<[string, (g: GraphBuilder, x: Value) => Value, (x: number) => number]>([
    ["sigmoid", sigmoid, sigma],
    ["silu", silu, (x) => x * sigma(x)],
    ["gelu", gelu, (x) => (x / 2) * (1 + erf(x / Math.SQRT2))],
    ["floor", floor, Math.floor],
  ])("%s", async (_, operation, expected) => {
    const inputs = { x: X };
    const y = await evaluate((g) => operation(g, g.input("x", "f32", [2, 3, 4])), { inputs });
    expect(y.shape).toEqual([2, 3, 4]);
    expect(y.values).toBeAllclose(X.map(expected), { rtol: 1e-5, atol: 1e-6 });
  });

  test("softmax sums to one over the last axis", async () => {
    const inputs = { x: X };
    const { values } = await evaluate((g) => softmax(g, g.input("x", "f32", [4, 6])), { inputs });
    for (let row = 0; row < 4; row++) {
      const scores = X.slice(row * 6, row * 6 + 6).map(Math.exp);
      const sum = scores.reduce((a, b) => a + b, 0);
      expect(values.slice(row * 6, row * 6 + 6)).toBeAllclose(scores.map((s) => s / sum));
    }
  });
});

describe("functions of two values", () => {
  test.each<[string, typeof add, (a: number, b: number) => number]>([
    ["add", add, (a, b) => a + b],
    ["sub", sub, (a, b) => a - b],
    ["mul", mul, (a, b) => a * b],
    ["div", div, (a, b) => a / b],
    ["max", max, Math.max],
  ])("%s broadcasts", async (_, operation, expected) => {
    const [a, b] = [waves(6), waves(4, 1)];
    const y = await evaluate(
      (g) => operation(g, g.input("a", "f32", [3, 2, 1]), g.input("b", "f32", [4])),
      { inputs: { a, b } },
    );
    expect(y.shape).toEqual([3, 2, 4]);
    const pairs = Array.from(a).flatMap((x) => Array.from(b, (z) => expected(x, z)));
    expect(y.values).toBeAllclose(pairs);
  });

  test("refuse two element types", async () => {
    await expect(
      evaluate((g) => add(g, g.input("a", "f32", [1]), g.input("b", "i32", [1]))),
    ).rejects.toThrow("Add of f32 and i32");
  });
});

describe("broadcast", () => {
  test("keeps named dimensions and repeats ones", () => {
    expect(broadcast([1, "S", 8], [8])).toEqual([1, "S", 8]);
    expect(broadcast(["S", 1], [3])).toEqual(["S", 3]);
  });

  test("refuses sizes that differ", () => {
    expect(() => broadcast([2, 3], [2])).toThrow("[2,3] and [2] broadcast");
    expect(() => broadcast(["S"], ["T"])).toThrow("broadcast");
  });
});

// Abramowitz and Stegun 7.1.26 is too coarse; the series converges fast enough below 3.
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
