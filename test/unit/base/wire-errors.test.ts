import { describe, expect, test } from "vitest";
import { ModelError } from "../../../src/base/errors.ts";
import { decodeError, encodeError } from "../../../src/base/wire-errors.ts";

function cross(error: Error): Error {
  return decodeError(structuredClone(encodeError(error)));
}

describe("encodeError and decodeError", () => {
  test.each([
    ["TypeError", new TypeError("a type")],
    ["RangeError", new RangeError("a range")],
    ["Error", new Error("an error")],
    ["DOMException", new DOMException("stop", "AbortError")],
    ["ModelError", new ModelError("numerics", "NaN", { step: 3, names: ["a", "b"] })],
  ])("keep class, name and message of a %s", (_, error) => {
    const copy = cross(error);
    expect(copy.constructor).toBe(error.constructor);
    expect(copy.name).toBe(error.name);
    expect(copy.message).toBe(error.message);
  });

  test("keep code and details of a ModelError", () => {
    const copy = cross(new ModelError("quota-exceeded", "full", { bytes: 5 }));
    expect(copy).toBeInstanceOf(ModelError);
    expect(copy).toMatchObject({ code: "quota-exceeded", details: { bytes: 5 } });
  });

  test("keep the chain of causes with their classes", () => {
    const network = new TypeError("Failed to fetch", { cause: "offline" });
    const copy = cross(new ModelError("download-failed", "gone", {}, { cause: network }));
    expect(copy.cause).toBeInstanceOf(TypeError);
    expect(copy.cause).toMatchObject({ message: "Failed to fetch", cause: "offline" });
  });

  test("keep the stack of the thread that threw", () => {
    const error = new Error("here");
    expect(cross(error).stack).toBe(error.stack);
  });

  test("keep the name of an error class that they do not know", () => {
    const error = Object.assign(new Error("trap"), { name: "RuntimeError" });
    expect(cross(error).name).toBe("RuntimeError");
  });

  test("turn a cause that cannot cross into text", () => {
    expect(cross(new Error("a", { cause: () => 1 })).cause).toBe("() => 1");
  });

  test("end at a cyclic cause", () => {
    const error = new Error("round");
    error.cause = error;
    expect(cross(error).message).toBe("round");
  });
});
