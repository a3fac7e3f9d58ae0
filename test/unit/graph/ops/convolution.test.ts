import { describe, expect, test } from "vitest";
import { convolution } from "../../../../src/graph/ops/convolution.ts";
import "../../../support/allclose.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

interface Case {
  readonly name: string;
  readonly x: readonly [rows: number, channels: number, height: number, width: number];
  readonly weight: readonly [out: number, inner: number, height: number, width: number];
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
}

/** The definition: sums over a window, one output after the other. */
function convolved({ x, weight, stride = 1, padding = 0, groups = 1 }: Case, numbers: Numbers) {
  const [rows, channels, height, width] = x;
  const [out, inner, kernelHeight, kernelWidth] = weight;
  const steps = (size: number, kernel: number) =>
    Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const shape = [rows, out, steps(height, kernelHeight), steps(width, kernelWidth)];
  const result = indices(shape).map(([row = 0, channel = 0, top = 0, left = 0]) => {
    const first = Math.floor(channel / (out / groups)) * inner;
    return indices([inner, kernelHeight, kernelWidth]).reduce((sum, [c = 0, i = 0, j = 0]) => {
      const [y, z] = [top * stride + i - padding, left * stride + j - padding];
      if (y < 0 || z < 0 || y >= height || z >= width) return sum;
      const pixel = numbers.x[((row * channels + first + c) * height + y) * width + z] ?? 0;
      return (
        sum + pixel * (numbers.w[((channel * inner + c) * kernelHeight + i) * kernelWidth + j] ?? 0)
      );
    }, numbers.b[channel] ?? 0);
  });
  return { shape, result };
}

interface Numbers {
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly b: Float32Array;
}

function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, size) => all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]],
  );
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

describe("convolution", () => {
  test.each<Case>([
    { name: "3 x 3 with padding", x: [1, 3, 5, 4], weight: [2, 3, 3, 3], padding: 1 },
    { name: "patches", x: [2, 3, 6, 4], weight: [5, 3, 2, 2], stride: 2 },
    { name: "depthwise", x: [1, 4, 5, 5], weight: [4, 1, 3, 3], padding: 1, groups: 4 },
    { name: "1 x 1", x: [2, 4, 2, 3], weight: [3, 4, 1, 1] },
    { name: "a last window that does not fit", x: [1, 1, 6, 6], weight: [1, 1, 3, 3], stride: 2 },
  ])("$name", async (asked) => {
    const { x, weight, stride, padding, groups } = asked;
    const inputs = { x: waves(count(x)), w: waves(count(weight), 1), b: waves(weight[0], 2) };
    const y = await evaluate(
      (g) => {
        const [image, kernel] = [g.input("x", "f32", x), g.input("w", "f32", weight)];
        const options = { stride: stride ?? 1, padding: padding ?? 0, groups: groups ?? 1 };
        return convolution(g, image, kernel, g.input("b", "f32", [weight[0]]), options);
      },
      { inputs },
    );
    const { shape, result } = convolved(asked, inputs);
    expect(y.shape).toEqual(shape);
    expect(y.values).toBeAllclose(result);
  });

  test("refuses another number of channels, and what is no picture", async () => {
    const run = (x: number[], weight: number[]) =>
      evaluate((g) =>
        convolution(g, g.input("x", "f32", x), g.input("w", "f32", weight), undefined),
      );
    await expect(run([1, 3, 4, 4], [2, 4, 1, 1])).rejects.toThrow("[1,3,4,4] * [2,4,1,1]");
    await expect(run([3, 4, 4], [2, 3, 1, 1])).rejects.toThrow("[3,4,4]");
  });
});
