import { describe, expect, test } from "vitest";
import { groupNorm, layerNorm, rmsNorm } from "../../../../src/graph/blocks/norm.ts";
import type { GraphBuilder } from "../../../../src/graph/builder.ts";
import type { Value } from "../../../../src/graph/graph.ts";
import "../../../support/allclose.ts";
import { relativeError } from "../../../support/closeness.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";
import type { WeightValues } from "../../../support/store-weight.ts";

const ones: WeightValues = ({ key, shape }) =>
  new Float32Array(shape[0] ?? 1).fill(key.endsWith("bias") ? 0 : 1);

describe("rmsNorm and layerNorm", () => {
  test.each<[string, (g: GraphBuilder, x: Value) => Value]>([
    ["rmsNorm", (g, x) => rmsNorm(g, x, { weight: "norm.weight", eps: 1e-6 })],
    ["layerNorm", (g, x) => layerNorm(g, x, { name: "norm", eps: 1e-6 })],
  ])("%s does not see the scale of its input", async (_, norm) => {
    const run = (scale: number) =>
      evaluate((g) => norm(g, g.input("x", "f32", [4, 32])), {
        inputs: { x: waves(4 * 32).map((x) => x * scale) },
      });
    expect((await run(100)).values).toBeAllclose((await run(10)).values, { atol: 1e-5 });
  });

  test("take their statistics in f32 where the graph computes in f16", async () => {
    // The squares of 300 overflow f16.
    const large = { x: waves(4 * 32).map((x) => x * 300) };
    const run = (float: "f32" | "f16") =>
      evaluate(
        (g) => rmsNorm(g, g.input("x", float, [4, 32]), { weight: "norm.weight", eps: 1e-6 }),
        {
          inputs: large,
          float,
          weights: ones,
        },
      );
    expect(relativeError((await run("f16")).values, (await run("f32")).values)).toBeLessThan(2e-3);
  });
});

describe("groupNorm", () => {
  const [channels, groups, pixels] = [6, 2, 4];

  test("standardizes each group over its channels and pixels, then scales each channel", async () => {
    const x = waves(channels * pixels);
    const weights: WeightValues = ({ key }) => waves(channels, key.endsWith("bias") ? 2 : 1);
    const y = await evaluate(
      (g) =>
        groupNorm(g, g.input("x", "f32", [1, channels, 2, 2]), { name: "norm", groups, eps: 1e-6 }),
      { inputs: { x }, weights },
    );
    const half = x.length / groups;
    const expected = x.map((value, at) => {
      const group = x.slice(Math.floor(at / half) * half, (Math.floor(at / half) + 1) * half);
      const mean = group.reduce((a, b) => a + b) / half;
      const variance = group.reduce((sum, v) => sum + (v - mean) ** 2, 0) / half;
      const channel = Math.floor(at / pixels);
      const scaled =
        ((value - mean) / Math.sqrt(variance + 1e-6)) * (waves(channels, 1)[channel] ?? 0);
      return scaled + (waves(channels, 2)[channel] ?? 0);
    });
    expect(y.values).toBeAllclose(expected, { atol: 1e-5 });
  });

  test("treats every row by itself", async () => {
    const rows = 3;
    const x = waves(rows * channels * pixels);
    const weights: WeightValues = ({ key }) => waves(channels, key.endsWith("bias") ? 2 : 1);
    const run = async (values: ArrayLike<number>, count: number): Promise<number[]> => {
      const y = await evaluate(
        (g) => {
          const input = g.input("x", "f32", [count, channels, 2, 2]);
          return groupNorm(g, input, { name: "norm", groups, eps: 1e-6 });
        },
        { inputs: { x: values }, weights },
      );
      return [...y.values];
    };
    const size = x.length / rows;
    const alone: number[] = [];
    for (let row = 0; row < rows; row++) {
      alone.push(...(await run(x.slice(row * size, (row + 1) * size), 1)));
    }
    expect(await run(x, rows)).toBeAllclose(alone, { atol: 1e-6 });
  });
});
