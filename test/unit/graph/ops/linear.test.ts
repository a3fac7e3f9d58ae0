import { describe, expect, test } from "vitest";
import type { GraphBuilder } from "../../../../src/graph/builder.ts";
import { gatherBlockQuantized, matMulNBits, matmul } from "../../../../src/graph/ops/linear.ts";
import { quantizeQ4, quantizeQ8 } from "../../../../src/weights/quantize.ts";
import "../../../support/allclose.ts";
import { dequantize } from "../../../support/dequantize.ts";
import { ramp, waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

/** a [rows, inner] times b [columns, inner] transposed. */
function product(a: Float32Array, b: Float32Array, inner: number): number[] {
  const [rows, columns] = [a.length / inner, b.length / inner];
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let i = 0; i < inner; i++) sum += (a[row * inner + i] ?? 0) * (b[column * inner + i] ?? 0);
    return sum;
  });
}

describe("matmul", () => {
  const run = (a: readonly number[], b: readonly number[]) =>
    evaluate((g) => matmul(g, g.input("a", "f32", a), g.input("b", "f32", b)), {
      inputs: { a: waves(12), b: ramp(12) },
    });

  test("keeps the leading axes of the left side", async () => {
    expect((await run([2, 2, 3], [3, 4])).shape).toEqual([2, 2, 4]);
  });

  test("multiplies matrix by matrix", async () => {
    const y = await run([2, 2, 3], [2, 3, 2]);
    const a = waves(12);
    const columns = (first: number) => Float32Array.of(0, 2, 4, 1, 3, 5).map((x) => x + first);
    expect(y.shape).toEqual([2, 2, 2]);
    expect(y.values).toBeAllclose([
      ...product(a.slice(0, 6), columns(0), 3),
      ...product(a.slice(6), columns(6), 3),
    ]);
  });

  test.each([
    [
      [2, 6],
      [4, 3],
    ],
    [
      [2, 2, 3],
      [4, 3, 1],
    ],
  ])("refuses %j times %j", async (a, b) => {
    await expect(run(a, b)).rejects.toThrow("times");
  });
});

describe.each([
  { bits: 4 as const, quantize: quantizeQ4 },
  { bits: 8 as const, quantize: quantizeQ8 },
])("products and lookups of $bits bits", ({ bits, quantize }) => {
  /** Quantized rows as constants of a graph. */
  function parts(g: GraphBuilder, rows: Float32Array, width: number, isTable: boolean) {
    const { values, scales } = quantize(rows, width);
    const blocks = Math.ceil(width / 32);
    const [count, bytes] = [rows.length / width, (32 * bits) / 8];
    const shape = isTable ? [count, blocks * bytes] : [count, blocks, bytes];
    const steps = dequantize(
      { values: new Uint8Array(values.length).fill(bits === 4 ? 0x99 : 129), scales },
      blocks * 32,
      bits,
    );
    return {
      values: g.constant("u8", shape, values),
      scales: g.constant(
        "f32",
        isTable ? [count, blocks] : [count * blocks],
        steps.filter((_, at) => at % 32 === 0),
      ),
    };
  }

  // A width of whole blocks, and one whose last block is padded.
  test.each([64, 40])("matMulNBits of %i inputs", async (width) => {
    const [x, weight] = [waves(3 * width), waves(5 * width, 1)];
    const y = await evaluate(
      (g) => {
        const { values, scales } = parts(g, weight, width, false);
        return matMulNBits(g, g.input("x", "f32", [1, 3, width]), values, scales);
      },
      { inputs: { x } },
    );
    expect(y.shape).toEqual([1, 3, 5]);
    const expected = product(x, dequantize(quantize(weight, width), width, bits), width);
    expect(y.values).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-5 });
  });

  test("gatherBlockQuantized", async () => {
    const width = 64;
    const table = waves(7 * width);
    const y = await evaluate(
      (g) => {
        const indices = g.input("ids", "i32", [1, 3]);
        return gatherBlockQuantized(g, { ...parts(g, table, width, true), indices }, width);
      },
      { inputs: { ids: [6, 0, 6] } },
    );
    expect(y.shape).toEqual([1, 3, width]);
    const rows = dequantize(quantize(table, width), width, bits);
    const row = (id: number) => [...rows.subarray(id * width, (id + 1) * width)];
    expect(y.values).toBeAllclose([...row(6), ...row(0), ...row(6)]);
  });
});
