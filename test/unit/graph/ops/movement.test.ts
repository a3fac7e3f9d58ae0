import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../../../src/graph/builder.ts";
import type { Dimension, Value } from "../../../../src/graph/graph.ts";
import {
  cast,
  concat,
  expand,
  gatherRows,
  padEnd,
  pixelShuffle,
  reshape,
  slice,
  split,
  transpose,
  unpatchify,
  upsampleNearest,
} from "../../../../src/graph/ops/movement.ts";
import { ramp } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

/** What becomes of 0, 1, 2 ... in `shape`, as [shape, numbers]. */
async function moved(shape: readonly number[], move: (g: GraphBuilder, x: Value) => Value) {
  const inputs = { x: ramp(shape.reduce((a, b) => a * b, 1)) };
  const y = await evaluate((g) => move(g, g.input("x", "f32", shape)), { inputs });
  return [y.shape, [...y.values]];
}

/** The shape that the builder gives to what becomes of x. */
function shaped(shape: readonly Dimension[], move: (g: GraphBuilder, x: Value) => Value) {
  const g = new GraphBuilder({ name: "shaped", float: "f32", quantization: "f32" });
  return move(g, g.input("x", "f32", shape)).shape;
}

describe("reshape", () => {
  test("keeps the order of elements", async () => {
    expect(await moved([2, 3], (g, x) => reshape(g, x, [3, -1]))).toEqual([
      [3, 2],
      [0, 1, 2, 3, 4, 5],
    ]);
  });

  test("finds a size, and a named dimension, that is left over", () => {
    expect(shaped([4, 6], (g, x) => reshape(g, x, [2, -1, 3]))).toEqual([2, 4, 3]);
    expect(shaped([1, "S", 8], (g, x) => reshape(g, x, [-1, 2, 4]))).toEqual(["S", 2, 4]);
  });

  test("keeps a named dimension at run time", async () => {
    const y = await evaluate((g) => reshape(g, g.input("x", "f32", [1, "S", 4]), ["S", 2, 2]), {
      inputs: { x: ramp(12) },
    });
    expect(y.shape).toEqual([3, 2, 2]);
  });

  test("refuses another number of elements", async () => {
    await expect(moved([2, 3], (g, x) => reshape(g, x, [4, 2]))).rejects.toThrow(
      "reshape [2,3] to [4,2]",
    );
  });
});

describe("transpose", () => {
  test("moves axes", async () => {
    expect(await moved([2, 3, 1], (g, x) => transpose(g, x, [2, 1, 0]))).toEqual([
      [1, 3, 2],
      [0, 3, 1, 4, 2, 5],
    ]);
  });

  test.each([[[0, 1]], [[0, 1, 1]], [[0, 1, 3]]])("refuses the order %j", async (order) => {
    await expect(moved([2, 3, 4], (g, x) => transpose(g, x, order))).rejects.toThrow("transpose");
  });
});

describe("concat and split", () => {
  test("are each other's inverse", async () => {
    const [shape, numbers] = await moved([2, 6], (g, x) => concat(g, split(g, x, 3, 1), 1));
    expect([shape, numbers]).toEqual([[2, 6], [...ramp(12)]]);
  });

  test("join values of different sizes along the axis", async () => {
    expect(
      await moved([1, 2, 2], (g, x) => concat(g, [x, slice(g, x, { axis: 1, start: 1 })], 1)),
    ).toEqual([
      [1, 3, 2],
      [0, 1, 2, 3, 2, 3],
    ]);
  });

  test("refuse shapes that do not meet", async () => {
    const other = (g: GraphBuilder, x: Value) => concat(g, [x, reshape(g, x, [3, 2])], 1);
    await expect(moved([2, 3], other)).rejects.toThrow("concat");
    await expect(
      moved([2, 3], (g, x) => concat(g, [x, reshape(g, x, [2, 3, 1])], 1)),
    ).rejects.toThrow("concat");
    await expect(moved([2, 3], (g, x) => concat(g, split(g, x, 2, 1), 1))).rejects.toThrow(
      "splits",
    );
  });
});

describe("slice", () => {
  test("keeps what is behind the start", async () => {
    expect(await moved([2, 3], (g, x) => slice(g, x, { axis: 1, start: 1 }))).toEqual([
      [2, 2],
      [1, 2, 4, 5],
    ]);
  });

  test("counts a negative start from the end, also of a named dimension", async () => {
    const y = await evaluate(
      (g) => slice(g, g.input("x", "f32", [1, "S", 2]), { axis: 1, start: -1 }),
      {
        inputs: { x: ramp(10) },
      },
    );
    expect([y.shape, [...y.values]]).toEqual([
      [1, 1, 2],
      [8, 9],
    ]);
  });

  test("refuses to keep nothing", async () => {
    await expect(moved([2, 3], (g, x) => slice(g, x, { axis: 1, start: 3 }))).rejects.toThrow(
      "slice",
    );
  });
});

describe("movement of pictures", () => {
  test("pixelShuffle takes the pixels of a block from consecutive channels", async () => {
    // torch: out[c, 2h + i, 2w + j] = in[4c + 2i + j, h, w]
    const [shape, numbers] = await moved([1, 8, 1, 2], (g, x) => pixelShuffle(g, x, 2));
    expect(shape).toEqual([1, 2, 2, 4]);
    expect(numbers).toEqual([0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15]);
    await expect(moved([1, 6, 1, 1], (g, x) => pixelShuffle(g, x, 2))).rejects.toThrow("2 x 2");
  });

  test("unpatchify takes the pixels of a block from channels that are apart", async () => {
    // out[c, 2h + i, 2w + j] = in[(2i + j) channels + c, h, w]
    const [shape, numbers] = await moved([1, 8, 1, 2], (g, x) => unpatchify(g, x, 2));
    expect(shape).toEqual([1, 2, 2, 4]);
    expect(numbers).toEqual([0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15]);
  });

  test("upsampleNearest repeats each pixel", async () => {
    expect(await moved([1, 1, 1, 2], (g, x) => upsampleNearest(g, x))).toEqual([
      [1, 1, 2, 4],
      [0, 0, 1, 1, 0, 0, 1, 1],
    ]);
  });

  test("padEnd adds zeros right and below only", async () => {
    expect(await moved([1, 1, 1, 2], (g, x) => padEnd(g, x, 1))).toEqual([
      [1, 1, 2, 3],
      [0, 1, 0, 0, 0, 0],
    ]);
  });
});

describe("expand, gatherRows and cast", () => {
  test("expand repeats axes of size 1", async () => {
    expect(await moved([1, 2], (g, x) => expand(g, x, [2, 2]))).toEqual([
      [2, 2],
      [0, 1, 0, 1],
    ]);
    await expect(moved([2, 2], (g, x) => expand(g, x, [2, 1]))).rejects.toThrow(
      "expand [2,2] to [2,1]",
    );
  });

  test("gatherRows picks rows", async () => {
    const y = await evaluate(
      (g) => gatherRows(g, g.input("table", "f32", [4, 2]), g.input("ids", "i32", [1, 3])),
      { inputs: { table: ramp(8), ids: [3, 0, 3] } },
    );
    expect([y.shape, [...y.values]]).toEqual([
      [1, 3, 2],
      [6, 7, 0, 1, 6, 7],
    ]);
  });

  test("cast truncates, and is the value itself when it has the type already", async () => {
    const y = await evaluate((g) => cast(g, g.input("x", "f32", [3]), "i32"), {
      inputs: { x: [1.7, -1.7, 3] },
    });
    expect([...y.values]).toEqual([1, -1, 3]);
    const g = new GraphBuilder({ name: "cast", float: "f32", quantization: "f32" });
    const x = g.input("x", "f32", [3]);
    expect(cast(g, x, "f32")).toBe(x);
  });
});
