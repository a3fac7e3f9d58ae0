import { afterEach, describe, expect, test, vi } from "vitest";
import { checkDevice } from "../../../src/client/check-device.ts";

afterEach(() => void vi.unstubAllGlobals());

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

  test.each<[string, () => void, RegExp]>([
    ["an insecure page", () => vi.stubGlobal("isSecureContext", false), /secure context/],
    ["a browser without WebGPU", () => stubBrowser(), /no WebGPU/],
    ["no adapter", () => stubBrowser(async () => null), /no GPU adapter/],
    ["a refusal", () => stubBrowser(() => Promise.reject(new Error("blocked"))), /blocked/],
  ])("gives the reason for %s", async (_, stub, reason) => {
    stub();
    const report = await checkDevice();
    expect(report).toMatchObject({ webgpu: false, f16: false, maxBufferBytes: 0, wasm: true });
    expect(report.reasons.join(" ")).toMatch(reason);
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
