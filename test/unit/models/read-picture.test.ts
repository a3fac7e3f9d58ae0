import { beforeAll, describe, expect, test } from "vitest";
import { readPicture } from "../../../src/models/read-picture.ts";
import type { Runtime } from "../../../src/session/runtime.ts";
import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createWasmRuntime();
});

const SIZE = 8;

/** A picture of `valueOf` for each number, read back. */
function read(valueOf: (n: number) => number) {
  const values = Float32Array.from({ length: 3 * SIZE * SIZE }, (_, n) => valueOf(n));
  const image = runtime.createTensor("f32", [1, 3, SIZE, SIZE], values);
  return readPicture(runtime, image, "round");
}

describe("readPicture", () => {
  test("gives opaque pixels", async () => {
    const { width, height, data } = await read((n) => Math.sin(n));
    expect([width, height, data.length]).toEqual([SIZE, SIZE, 4 * SIZE * SIZE]);
    expect(data.every((byte, n) => n % 4 !== 3 || byte === 255)).toBe(true);
  });

  test.each([
    ["white", (n: number) => 1 + n],
    ["black", (n: number) => -1 - n],
  ])("gives a picture that is all %s, as its numbers differ", async (_, valueOf) => {
    const { data } = await read(valueOf);
    expect(new Set(data.filter((__, n) => n % 4 !== 3)).size).toBe(1);
  });

  test.each([Number.NaN, Infinity, -Infinity])(
    "refuses one that has %s, and says where",
    async (bad) => {
      const place = SIZE * SIZE + 3 * SIZE + 5;
      await expect(read((n) => (n === place ? bad : n))).rejects.toMatchObject({
        code: "numerics",
        details: { x: 5, y: 3 },
      });
    },
  );

  test("refuses one that was never written", async () => {
    await expect(read(() => 0)).rejects.toThrow(/the same numbers for every pixel/);
  });
});
