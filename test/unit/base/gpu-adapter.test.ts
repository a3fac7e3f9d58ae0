// What a browser may answer when it is asked for a GPU, and what becomes of it.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GPU_ANSWER_MS } from "../../../src/base/gpu-adapter.ts";
import type * as Adapter from "../../../src/base/gpu-adapter.ts";
import type * as Device from "../../../src/gpu/device.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.resetModules();
});

const never = (): Promise<never> => new Promise(() => undefined);

/** Both of a thread that has asked for nothing yet. */
async function thread(): Promise<typeof Adapter & typeof Device> {
  const adapters = await import("../../../src/base/gpu-adapter.ts");
  return { ...adapters, ...(await import("../../../src/gpu/device.ts")) };
}

function stub(requestAdapter?: () => unknown): void {
  vi.stubGlobal("navigator", requestAdapter ? { gpu: { requestAdapter } } : {});
}

function adapter(requestDevice: () => Promise<unknown> = never): object {
  return {
    features: new Set(),
    limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 30 },
    info: { vendor: "acme", architecture: "one", device: "", description: "" },
    requestDevice,
  };
}

describe("requestAdapter", () => {
  test.each<[string, string, (() => unknown) | undefined]>([
    ["no-webgpu", "there is no navigator.gpu", undefined],
    ["no-adapter", "the answer is null", async () => null],
    ["refused", "the browser rejects", () => Promise.reject(new DOMException("no", "DataError"))],
    [
      "refused",
      "the browser throws",
      () => {
        throw new TypeError("no");
      },
    ],
  ])("is %s where %s", async (reason, _, ask) => {
    stub(ask);
    const { requestAdapter } = await thread();
    await expect(requestAdapter()).rejects.toMatchObject({
      code: "webgpu-unavailable",
      details: { reason },
    });
  });

  test("is an insecure page's own fault", async () => {
    stub(async () => adapter());
    vi.stubGlobal("isSecureContext", false);
    const { requestAdapter } = await thread();
    await expect(requestAdapter()).rejects.toMatchObject({ details: { reason: "insecure-page" } });
  });

  test("is blocked where there was one before", async () => {
    const answers = [adapter(), null];
    stub(async () => answers.shift());
    const { requestAdapter } = await thread();
    await requestAdapter();
    await expect(requestAdapter()).rejects.toMatchObject({ details: { reason: "blocked" } });
  });

  test("is given up where the browser never answers", async () => {
    stub(never);
    const { requestAdapter } = await thread();
    const outcome = expect(requestAdapter()).rejects.toMatchObject({
      code: "webgpu-unavailable",
      details: { reason: "silent" },
    });
    await vi.advanceTimersByTimeAsync(GPU_ANSWER_MS);
    await outcome;
  });
});

describe("requestGpu", () => {
  test("gives up a device that never comes, and frees one that comes late", async () => {
    let answer: ((device: object) => void) | undefined;
    stub(async () => adapter(() => new Promise((resolve) => void (answer = resolve))));
    const { requestGpu } = await thread();
    const outcome = expect(requestGpu()).rejects.toMatchObject({
      code: "webgpu-unavailable",
      details: { reason: "silent" },
    });
    await vi.advanceTimersByTimeAsync(GPU_ANSWER_MS);
    await outcome;
    const destroy = vi.fn();
    answer?.({ destroy });
    await vi.advanceTimersByTimeAsync(0);
    expect(destroy).toHaveBeenCalledTimes(1);
  });

  test("tells an adapter that gives no device", async () => {
    stub(async () => adapter(() => Promise.reject(new Error("exhausted"))));
    const { requestGpu } = await thread();
    await expect(requestGpu()).rejects.toMatchObject({ details: { reason: "no-device" } });
  });
});
