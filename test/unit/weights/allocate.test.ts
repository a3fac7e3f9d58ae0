import { expect, test } from "vitest";
import { allocate } from "../../../src/weights/allocate.ts";

test("gives zeroed bytes", () => {
  expect(allocate(4, "a part of a file")).toEqual(new Uint8Array(4));
});

test("tells what was needed, and that nobody knows what there is", () => {
  const bytes = 2 ** 53;
  expect(() => allocate(bytes, "lm_head.weight")).toThrow(
    expect.objectContaining({
      code: "out-of-memory",
      details: { neededBytes: bytes },
      message: expect.stringMatching(/lm_head\.weight.*browser does not tell.*Close other tabs/),
    }),
  );
});
