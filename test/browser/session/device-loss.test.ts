import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Runtime, Session, Tensor } from "../../../src/session/runtime.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { onnxGraph } from "../../support/onnx.ts";

const isLost = expect.objectContaining({ code: "device-lost" });

const graph = onnxGraph({
  name: "double",
  inputs: [{ name: "x", dtype: "f32", shape: [4] }],
  outputs: [{ name: "y", dtype: "f32", shape: [4] }],
  nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"] }],
});

// The only way to lose a device on purpose, as a driver would: destroy it behind the runtime's back.
let loseDevice: () => void;
let runtime: Runtime;
let session: Session;
let x: Tensor;

// Two builds, two ways to die: jspi rejects for ever, asyncify blocks the thread at the second call.
describe.for(["jspi", "asyncify"] as const)("after a device loss, %s", (build) => {
  beforeEach(async () => {
    const requests = vi.spyOn(GPUAdapter.prototype, "requestDevice");
    runtime = await createWebGpuRuntime({ build });
    loseDevice = () => {
      const request = requests.mock.settledResults.at(-1);
      if (request?.type === "fulfilled") request.value.destroy();
    };
    session = await runtime.createSession(graph, new Map());
    x = runtime.createTensor("f32", [4]);
    await session.run({ x });
  });

  afterEach(() => vi.restoreAllMocks());

  test("everything that waits for the device rejects, and what frees does not", async () => {
    loseDevice();
    await expect(runtime.lost).resolves.toContain("destroyed");
    for (let n = 0; n < 3; n++) {
      await expect(session.run({ x })).rejects.toEqual(isLost);
      await expect(runtime.read(x)).rejects.toEqual(isLost);
      await expect(runtime.fence()).rejects.toEqual(isLost);
      await expect(runtime.createSession(graph, new Map())).rejects.toEqual(isLost);
      await expect(runtime.createStableTensor("f32", [2])).rejects.toEqual(isLost);
    }
    x.dispose();
    await session.dispose();
    await runtime.dispose();
  });

  test("work in flight rejects too, instead of pretending to be done", async () => {
    const work = [runtime.read(x), runtime.fence(), session.run({ x }), session.run({ x })];
    loseDevice();
    const results = await Promise.allSettled(work);
    expect(results[0]).toEqual({ status: "rejected", reason: isLost });
    await runtime.lost;
    await expect(runtime.read(x)).rejects.toEqual(isLost);
  });

  test("disposing the runtime is a loss of our own making", async () => {
    await runtime.dispose();
    await expect(session.run({ x })).rejects.toEqual(isLost);
    await expect(runtime.read(x)).rejects.toEqual(isLost);
  });
});
