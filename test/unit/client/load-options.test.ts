import { describe, expect, test, vi } from "vitest";
import { planLoad } from "../../../src/client/load-options.ts";
import type { LoadOptions } from "../../../src/client/load-options.ts";

describe("planLoad", () => {
  test("fills in the defaults", () => {
    expect(planLoad("owner/name", {})).toMatchObject({
      location: { kind: "hub", id: "owner/name", revision: "main" },
      quantization: "q4",
      companions: {},
    });
  });

  test("reads relative addresses from the page", () => {
    vi.stubGlobal("document", { baseURI: "https://page.example/app/" });
    const plan = planLoad("./model", { companions: { vae: "../vae" } });
    vi.unstubAllGlobals();
    expect(plan.location).toEqual({ kind: "url", url: "https://page.example/app/model" });
    expect(plan.companions).toEqual({ vae: { kind: "url", url: "https://page.example/vae" } });
  });

  test("drops the slash at the end of a hub's address", () => {
    expect(planLoad("a/b", { hubUrl: "https://hub.example/x/" }).hubUrl).toBe(
      "https://hub.example/x",
    );
  });

  test.each<[string, string, ErrorConstructor, RegExp]>([
    ["quantization", "q5", RangeError, /f32, f16, q8, q4, got "q5"/],
    ["backend", "cuda", RangeError, /webgpu, wasm, got "cuda"/],
    ["memoryBudgetBytes", "0", RangeError, /from 1 to/],
    ["memoryBudgetBytes", "1.5", RangeError, /an integer/],
    ["fetch", '"fetch"', TypeError, /function, got "fetch"/],
    ["onProgress", "{}", TypeError, /function, got Object/],
    ["hubUrl", '"file:///hub"', RangeError, /http\(s\)/],
    ["quantisation", '"q4"', TypeError, /mean quantization/],
    ["companions", '{ "vae": "not a name" }', RangeError, /not a name/],
  ])("refuses %s = %s", (name, text, kind, message) => {
    const value: unknown = /^[a-z]/.test(text) ? text : JSON.parse(text);
    // What JavaScript callers may pass, whatever the types say.
    const options: LoadOptions = JSON.parse("{}");
    Object.assign(options, { [name]: value });
    expect(() => planLoad("a/b", options)).toThrow(kind);
    expect(() => planLoad("a/b", options)).toThrow(message);
  });

  test("refuses what names no model", () => {
    expect(() => planLoad("just a name", {})).toThrow(RangeError);
  });
});
