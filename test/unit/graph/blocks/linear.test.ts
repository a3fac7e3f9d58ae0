import { describe, expect, test } from "vitest";
import { biased, embedding, linear } from "../../../../src/graph/blocks/linear.ts";
import { GraphBuilder } from "../../../../src/graph/builder.ts";
import "../../../support/allclose.ts";
import { cosine } from "../../../support/closeness.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";
import { inventedWeights } from "../../../support/store-weight.ts";

const [IN, OUT] = [64, 24];
const X = waves(3 * IN);

/** The layer by its definition, from the weights that `evaluate` invents. */
function expected(name: string): number[] {
  const common = { tensor: "", aliases: [], companion: "", use: "plain", sourceShape: [] } as const;
  const weight = inventedWeights({ ...common, key: `${name}.weight`, shape: [OUT, IN] });
  const bias = inventedWeights({ ...common, key: `${name}.bias`, shape: [OUT] });
  return Array.from({ length: 3 * OUT }, (_, at) => {
    const [row, out] = [Math.floor(at / OUT), at % OUT];
    let sum = bias[out] ?? 0;
    for (let i = 0; i < IN; i++) sum += (X[row * IN + i] ?? 0) * (weight[out * IN + i] ?? 0);
    return sum;
  });
}

describe("linear", () => {
  test("multiplies by the transposed checkpoint weight and adds the bias", async () => {
    const y = await evaluate(
      (g) => linear(g, g.input("x", "f32", [1, 3, IN]), biased("layer", OUT)),
      {
        inputs: { x: X },
      },
    );
    expect(y.shape).toEqual([1, 3, OUT]);
    expect(y.values).toBeAllclose(expected("layer"), { atol: 1e-5 });
  });

  // Random weights are the worst case: trained ones have smaller outliers within a block.
  test.each([
    ["f32", "f16", 1e-6],
    ["f32", "q8", 1e-4],
    ["f32", "q4", 1e-2],
    ["f16", "f16", 1e-6],
    ["f16", "q4", 1e-2],
  ] as const)("in %s with weights in %s", async (float, quantization, distance) => {
    const y = await evaluate(
      (g) => linear(g, g.input("x", float, [1, 3, IN]), biased("layer", OUT)),
      {
        inputs: { x: X },
        float,
        quantization,
      },
    );
    expect(1 - cosine(y.values, expected("layer"))).toBeLessThan(distance);
  });

  test("cuts the weight and the bias of a fused layer alike", async () => {
    const fused = (g: GraphBuilder, rows: [number, number]) =>
      linear(g, g.input("x", "f32", [1, 3, IN]), {
        ...biased("fused", 8),
        rows,
        sourceShape: [OUT, IN],
      });
    const g = new GraphBuilder({ name: "cut", float: "f32", quantization: "f32" });
    g.output("y", fused(g, [8, 16]));
    expect(g.build().weights).toMatchObject([
      { key: "fused.weight[8:16]", shape: [8, IN], sourceShape: [OUT, IN], rows: [8, 16] },
      { key: "fused.bias[8:16]", shape: [8], sourceShape: [OUT], rows: [8, 16] },
    ]);
    await expect(evaluate((h) => fused(h, [8, 12]))).rejects.toThrow("fused.weight has 8 rows");
  });

  test("stores no coarser than it is told to", () => {
    const g = new GraphBuilder({ name: "kept", float: "f32", quantization: "q4" });
    linear(g, g.input("x", "f32", [1, IN]), { weight: "w", out: OUT, keepAtLeast: "f16" });
    linear(g, g.input("y", "f32", [1, IN]), { weight: "v", out: OUT });
    expect(g.build().weightParts.map(({ name }) => name)).toEqual(["w", "v", "v.scales"]);
  });
});

describe("embedding", () => {
  const table = { weight: "table", rows: 7, width: 64 };

  test.each([
    ["f32", 0],
    ["q8", 1e-4],
    ["q4", 1e-2],
  ] as const)("looks rows up in %s", async (quantization, distance) => {
    const { values, shape } = await evaluate(
      (g) => embedding(g, g.input("ids", "i32", [1, "S"]), table),
      {
        inputs: { ids: [6, 0, 6, 3] },
        quantization,
        weights: () => waves(7 * 64),
      },
    );
    expect(shape).toEqual([1, 4, 64]);
    const rows = [6, 0, 6, 3].flatMap((id) =>
      Array.from(waves(7 * 64).subarray(id * 64, id * 64 + 64)),
    );
    expect(1 - cosine(values, rows)).toBeLessThanOrEqual(distance + 1e-9);
  });
});
