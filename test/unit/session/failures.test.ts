import { describe, expect, test } from "vitest";
import { fail } from "../../../src/base/errors.ts";
import { memoryFailure, ortFailure } from "../../../src/session/failures.ts";

describe("ortFailure", () => {
  test.for([
    ["std::bad_alloc", "out-of-memory"],
    ["Failed to allocate memory for requested buffer of size 4096", "out-of-memory"],
    [
      "no available backend found. ERR: [webgpu] both async and sync fetching failed",
      "download-failed",
    ],
    ["Failed to fetch dynamically imported module: http://x/ort.mjs", "download-failed"],
  ] as const)("knows %s", ([text, code]) => {
    const error = ortFailure("run", "decoder", new Error(text));
    expect(error).toMatchObject({ code, message: expect.stringContaining(text) });
  });

  test("tells the bytes that onnxruntime asked for, and no others", () => {
    const text = "Failed to allocate memory for requested buffer of size 4096";
    expect(ortFailure("run", "decoder", new Error(text))).toMatchObject({
      details: { graph: "decoder", neededBytes: 4096, exhausted: true },
    });
    const silent = ortFailure("run", "decoder", new Error("std::bad_alloc"));
    expect(silent).toMatchObject({ details: { graph: "decoder", exhausted: true } });
    expect(silent).not.toHaveProperty("details.neededBytes");
    expect(silent.message).toMatch(/does not tell how much/);
  });

  test("names the graph and keeps the cause of anything else", () => {
    const cause = new Error("Non-zero status code");
    const error = ortFailure("compile", "vision", cause);
    expect(error.message).toContain("could not compile vision: Non-zero status code");
    expect(error.cause).toBe(cause);
  });

  test("leaves our own errors as they are", () => {
    const lost = fail("device-lost", "gone");
    expect(ortFailure("run", "decoder", lost)).toBe(lost);
  });
});

describe("memoryFailure", () => {
  test.each(["Array buffer allocation failed", "Invalid array buffer length"])(
    "takes %s for a worker whose memory ran out",
    (message) => {
      expect(memoryFailure(new RangeError(message))).toMatchObject({
        code: "out-of-memory",
        details: { exhausted: true },
      });
    },
  );

  test.each([new RangeError("steps must be an integer"), new Error("out of memory"), "out"])(
    "leaves %s as it is",
    (error) => {
      expect(memoryFailure(error)).toBe(error);
    },
  );
});
