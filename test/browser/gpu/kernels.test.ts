import { beforeAll, describe, expect, test } from "vitest";
import type { Runtime } from "../../../src/session/runtime.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runKernelContract } from "../../contract/kernels.ts";

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createWebGpuRuntime();
});

describe("kernels on the GPU", () => {
  runKernelContract(() => Promise.resolve(runtime));

  test("reach every element of a tensor that is larger than the grid", async () => {
    const elements = 256 * 65_535 + 1000;
    const latents = runtime.createTensor("f32", [elements]);
    const velocity = runtime.createTensor("f32", [elements], new Float32Array(elements).fill(2));
    const start = runtime.createTensor("f32", [elements]);
    const moves = runtime.createTensor("f32", [1, 2], Float32Array.of(0.5, 1));
    const times = runtime.createTensor("f32", [1, 1]);
    const progress = runtime.createTensor("u32", [2]);
    const time = runtime.createTensor("f32", [1]);
    const state = { latents, start, velocity, moves, times, progress, time };
    runtime.kernels.solverStep({ ...state, weights: [1] })();
    const result = await runtime.read(latents);
    expect(result.every((value) => value === 1)).toBe(true);
    for (const tensor of [latents, start, velocity]) tensor.dispose();
  });

  test("upload nothing when they are called, and submit once", () => {
    const f32 = (size: number) => runtime.createTensor("f32", [size]);
    const i32 = (size: number) => runtime.createTensor("i32", [size]);
    const pick = runtime.kernels.pickToken({
      logits: f32(8),
      vocabularySize: 8,
      rules: runtime.createTensor("u32", [8]),
      repetitionPenalty: 1,
      token: i32(1),
      ids: i32(4),
      count: i32(1),
      advance: [i32(1), i32(1)],
      temperature: 1,
      topK: 3,
      topP: 0.9,
      seed: 4,
    });
    const before = { ...runtime.counters };
    pick();
    expect(runtime.counters).toEqual({ ...before, submits: before.submits + 1 });
  });
});
