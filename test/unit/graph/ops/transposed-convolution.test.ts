import { expect, test } from "vitest";
import { transposedConvolution } from "../../../../src/graph/ops/convolution.ts";
import "../../../support/allclose.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

const [CHANNELS, OUT, KERNEL] = [2, 3, 3];

// The definition: every pixel adds the kernel, times itself, at its place in the larger picture.
function spread(x: Float32Array, w: Float32Array, b: Float32Array, side: number): number[] {
  const size = 2 * side;
  const result = Array.from(
    { length: OUT * size ** 2 },
    (_, at) => b[Math.floor(at / size ** 2)] ?? 0,
  );
  for (let at = 0; at < x.length; at++) {
    const [channel, top, left] = [
      Math.floor(at / side ** 2),
      Math.floor(at / side) % side,
      at % side,
    ];
    for (let tap = 0; tap < OUT * KERNEL ** 2; tap++) {
      const out = Math.floor(tap / KERNEL ** 2);
      const y = top * 2 - 1 + (Math.floor(tap / KERNEL) % KERNEL);
      const z = left * 2 - 1 + (tap % KERNEL);
      if (y < 0 || z < 0 || y >= size || z >= size) continue;
      const weight = w[channel * OUT * KERNEL ** 2 + tap] ?? 0;
      const place = (out * size + y) * size + z;
      result[place] = (result[place] ?? 0) + (x[at] ?? 0) * weight;
    }
  }
  return result;
}

test("doubles a picture with stride 2, padding 1 and one row and column more", async () => {
  const side = 4;
  const shape = [CHANNELS, OUT, KERNEL, KERNEL];
  const inputs = {
    x: waves(CHANNELS * side ** 2),
    w: waves(CHANNELS * OUT * KERNEL ** 2, 1),
    b: waves(OUT, 2),
  };
  const y = await evaluate(
    (g) => {
      const x = g.input("x", "f32", [1, CHANNELS, side, side]);
      const options = { stride: 2, padding: 1, outputPadding: 1 };
      return transposedConvolution(
        g,
        x,
        g.input("w", "f32", shape),
        g.input("b", "f32", [OUT]),
        options,
      );
    },
    { inputs },
  );
  expect(y.shape).toEqual([1, OUT, 8, 8]);
  expect(y.values).toBeAllclose(spread(inputs.x, inputs.w, inputs.b, side));
});
