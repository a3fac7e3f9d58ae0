// The proof of captured loops on a real device: a graph of two outputs, the second of which ends in a copy.
import { beforeAll, describe, expect, test } from "vitest";
import { createLoopSession, type LoopSession } from "../../../src/session/loop-session.ts";
import type { Runtime, Tensor } from "../../../src/session/runtime.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { onnxGraph } from "../../support/onnx.ts";

describe("createLoopSession", () => {
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await createWebGpuRuntime({ float: "f32" });
  }, 60_000);

  test("captures a loop whose outputs are computed, and leaves its feeds as they were", async () => {
    const { loop, x, first, second } = await open(runtime, "computes");
    expect(loop).toMatchObject({ isCaptured: true });
    expect(loop.note).toBeUndefined();
    expect(await runtime.read(x)).toEqual(Float32Array.of(1, 2, 3, 4));
    await loop.run();
    expect(await runtime.read(first)).toEqual(Float32Array.of(2, 4, 6, 8));
    expect(await runtime.read(second)).toEqual(Float32Array.of(1, 4, 9, 16));
    await loop.dispose();
  });

  test("refuses one whose second output ends in a Reshape, which the replay leaves out", async () => {
    const { loop, x, first, second } = await open(runtime, "reshapes");
    expect(loop.isCaptured).toBe(false);
    expect(loop.note).toMatch(/^reshapes: the captured run gave other numbers in second,/);
    for (const start of [1, 5]) {
      const values = Float32Array.from({ length: 4 }, (_, n) => start + n);
      runtime.write(x, values);
      await loop.run();
      expect(await runtime.read(first)).toEqual(values.map((value) => 2 * value));
      expect(await runtime.read(second)).toEqual(values.map((value) => value * value));
    }
    await loop.dispose();
  });
});

interface OpenLoop {
  readonly loop: LoopSession;
  readonly x: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
}

/** first = x + x [4], second = x * x [2, 2]. */
async function open(runtime: Runtime, kind: "computes" | "reshapes"): Promise<OpenLoop> {
  const shape = {
    name: "shape",
    dtype: "i64",
    shape: [2],
    data: BigInt64Array.of(2n, 2n),
  } as const;
  const squared =
    kind === "reshapes"
      ? [
          { op: "Mul", inputs: ["x", "x"], outputs: ["square"] },
          { op: "Reshape", inputs: ["square", "shape"], outputs: ["second"] },
        ]
      : [
          { op: "Reshape", inputs: ["x", "shape"], outputs: ["rows"] },
          { op: "Mul", inputs: ["rows", "rows"], outputs: ["second"] },
        ];
  const graph = onnxGraph({
    name: kind,
    inputs: [{ name: "x", dtype: "f32", shape: [4] }],
    outputs: [
      { name: "first", dtype: "f32", shape: [4] },
      { name: "second", dtype: "f32", shape: [2, 2] },
    ],
    nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["first"] }, ...squared],
    constants: [shape],
  });
  const x = runtime.createTensor("f32", [4], Float32Array.of(1, 2, 3, 4));
  const first = await runtime.createStableTensor("f32", [4]);
  const second = await runtime.createStableTensor("f32", [2, 2]);
  const loop = await createLoopSession(runtime, {
    graph,
    weights: new Map(),
    feeds: { x },
    fetches: { first, second },
    freeFeeds: ["x"],
  });
  return { loop, x, first, second };
}
