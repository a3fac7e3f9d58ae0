import { afterEach, describe, expect, test, vi } from "vitest";
import { checkDevice } from "../../../src/client/check-device.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function stubBrowser(requestAdapter?: () => Promise<unknown>): void {
  vi.stubGlobal("isSecureContext", true);
  vi.stubGlobal("navigator", requestAdapter ? { gpu: { requestAdapter } } : {});
}

function adapter(features: string[] = [], isFallbackAdapter = false): object {
  return {
    features: new Set(features),
    limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 30 },
    info: { vendor: "acme", architecture: "one", description: "Acme One", isFallbackAdapter },
  };
}

describe("checkDevice", () => {
  test("describes a good adapter without complaints", async () => {
    stubBrowser(async () => adapter(["shader-f16"]));
    expect(await checkDevice()).toEqual({
      webgpu: true,
      adapter: {
        vendor: "acme",
        architecture: "one",
        description: "Acme One",
        isSoftware: false,
      },
      f16: true,
      maxBufferBytes: 2 ** 31,
      maxBindingBytes: 2 ** 30,
      wasm: true,
      reasons: [],
    });
  });

  test("says that an adapter is software, and has no f16", async () => {
    stubBrowser(async () => adapter([], true));
    const { webgpu, f16, reasons } = await checkDevice();
    expect({ webgpu, f16 }).toEqual({ webgpu: true, f16: false });
    expect(reasons.join(" ")).toMatch(/software adapter.*shader-f16/);
  });

  test.each<[string, string, () => void, RegExp]>([
    [
      "an insecure page",
      "insecure-page",
      () => vi.stubGlobal("isSecureContext", false),
      /secure context/,
    ],
    ["a browser without WebGPU", "no-webgpu", () => stubBrowser(), /no WebGPU/],
    // An earlier test has seen an adapter.
    ["an adapter that is gone", "blocked", () => stubBrowser(async () => null), /any more/],
    ["a refusal", "refused", () => stubBrowser(() => Promise.reject(new Error("nay"))), /nay/],
  ])("gives the reason for %s", async (_, obstacle, stub, reason) => {
    stub();
    const report = await checkDevice();
    const none = { webgpu: false, obstacle, f16: false, maxBufferBytes: 0, wasm: true };
    expect(report).toMatchObject(none);
    expect(report.reasons.join(" ")).toMatch(reason);
  });

  test("does not wait for ever for a browser that does not answer", async () => {
    vi.useFakeTimers();
    stubBrowser(() => new Promise(() => undefined));
    const report = checkDevice();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await report).toMatchObject({ webgpu: false, obstacle: "silent" });
  });

  test("notices a policy against WebAssembly", async () => {
    stubBrowser(async () => adapter(["shader-f16"]));
    vi.stubGlobal("WebAssembly", {
      Module: function refuse() {
        throw new Error("unsafe-eval");
      },
    });
    const { wasm, reasons } = await checkDevice();
    expect(wasm).toBe(false);
    expect(reasons.join(" ")).toContain("wasm-unsafe-eval");
  });
});
