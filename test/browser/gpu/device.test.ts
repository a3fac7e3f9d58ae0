import { afterEach, describe, expect, test, vi } from "vitest";
import { checkGpu, requestGpu } from "../../../src/gpu/device.ts";

afterEach(() => vi.restoreAllMocks());

const isUnavailable = (text: string) =>
  expect.objectContaining({ code: "webgpu-unavailable", message: expect.stringContaining(text) });

describe("requestGpu", () => {
  test("takes every limit of the adapter", async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const gpu = await requestGpu();
    expect(gpu.device.limits.maxBufferSize).toBe(adapter?.limits.maxBufferSize);
    expect(gpu.device.limits.maxComputeInvocationsPerWorkgroup).toBe(
      adapter?.limits.maxComputeInvocationsPerWorkgroup,
    );
    expect(gpu.float).toBe(adapter?.features.has("shader-f16") ? "f16" : "f32");
    gpu.destroy();
  });

  test("says why the device is gone", async () => {
    const gpu = await requestGpu({ float: "f32" });
    expect(gpu.lostReason()).toBeUndefined();
    gpu.destroy();
    expect(gpu.lostReason()).toBe("destroyed");
    await expect(gpu.lost).resolves.toBe("destroyed");
  });

  test("refuses f16 that the device cannot compute", async ({ skip }) => {
    if ((await checkGpu()).hasShaderF16) skip();
    await expect(requestGpu({ float: "f16" })).rejects.toEqual(isUnavailable("shader-f16"));
  });

  test("tells a browser without WebGPU from one that gives no adapter any more", async () => {
    (await requestGpu()).destroy();
    vi.spyOn(navigator.gpu, "requestAdapter").mockResolvedValue(null);
    await expect(requestGpu()).rejects.toEqual(isUnavailable("gives none any more"));
    vi.spyOn(navigator, "gpu", "get").mockReturnValue(undefined as unknown as GPU);
    await expect(requestGpu()).rejects.toEqual(isUnavailable("no navigator.gpu"));
  });

  test("reports an adapter that gives no device", async () => {
    vi.spyOn(GPUAdapter.prototype, "requestDevice").mockRejectedValue(new Error("exhausted"));
    await expect(requestGpu()).rejects.toEqual(isUnavailable("exhausted"));
  });
});

describe("checkGpu", () => {
  test("knows limits and features as plain data, and flags emulators", async () => {
    const facts = await checkGpu();
    expect(facts.maxTensorBytes).toBeGreaterThanOrEqual(2 ** 27);
    expect(facts.limits["maxStorageBuffersPerShaderStage"]).toBeGreaterThanOrEqual(8);
    expect(structuredClone(facts)).toEqual(facts);
    expect(facts.isSoftware).toBe(/swiftshader|llvmpipe/i.test(facts.description));
  });
});
