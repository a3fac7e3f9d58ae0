// What real onnxruntime wants and cannot have: an intermediate result beyond a limit of the device, which
// is made to have less than its adapter.
import { afterEach, describe, expect, test, vi } from "vitest";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import type { Graph } from "../../../src/graph/graph.ts";
import { mul } from "../../../src/graph/ops/elementwise.ts";
import { expand } from "../../../src/graph/ops/movement.ts";
import { reduceMean } from "../../../src/graph/ops/reduction.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";

const WIDTH = 1024;
const MIB = 2 ** 20;

/** The mean of x * x over `rows` copies of it: one number in, one out, [rows, WIDTH] numbers between. */
function wideGraph(rows: number): Graph {
  const g = new GraphBuilder({ name: "wide", float: "f32", quantization: "f32" });
  const x = g.input("x", "f32", [1, WIDTH]);
  const y = g.input("y", "f32", [rows, 1]);
  const wide = mul(g, expand(g, x, [rows, WIDTH]), y);
  g.output("mean", reduceMean(g, wide, [0, 1]));
  return g.build();
}

type Request = (this: GPUAdapter, descriptor?: GPUDeviceDescriptor) => Promise<GPUDevice>;

/** A device with smaller limits than the adapter has: an adapter that knows no better. */
function shrinkLimits(maxBytes: number): void {
  const requestDevice: Request = Reflect.get(GPUAdapter.prototype, "requestDevice");
  vi.spyOn(GPUAdapter.prototype, "requestDevice").mockImplementation(function (
    this: GPUAdapter,
    descriptor,
  ) {
    const limits = { maxBufferSize: maxBytes, maxStorageBufferBindingSize: maxBytes };
    const requiredLimits = { ...descriptor?.requiredLimits, ...limits };
    return requestDevice.call(this, { ...descriptor, requiredLimits });
  });
}

afterEach(() => vi.restoreAllMocks());

describe("what onnxruntime cannot have", () => {
  test("is out-of-memory that names the limit, and the device goes on", async () => {
    const limit = 256 * MIB; // no less is asked for than WebGPU's own least
    shrinkLimits(limit);
    const runtime = await createWebGpuRuntime();
    const rows = limit / 4 / WIDTH + 1024;
    const session = await runtime.createSession(wideGraph(rows), new Map());
    const x = runtime.createTensor("f32", [1, WIDTH], new Float32Array(WIDTH).fill(3));
    const y = runtime.createTensor("f32", [rows, 1]);
    const work = async (): Promise<void> => {
      const { mean } = await session.run({ x, y });
      if (mean) await runtime.read(mean);
    };
    await expect(work()).rejects.toMatchObject({
      code: "out-of-memory",
      details: {
        limit: expect.stringMatching(/^max(BufferSize|StorageBufferBindingSize)$/),
        availableBytes: limit,
      },
    });
    expect(await runtime.read(x)).toEqual(new Float32Array(WIDTH).fill(3));
    await runtime.dispose();
  });
});
