// The laws of tensors of session/runtime.ts: memory, writes and copies.
import { expect, test } from "vitest";
import { f32ToF16 } from "../../src/base/float16.ts";
import type { Runtime, Tensor } from "../../src/session/runtime.ts";

/** What memory keeps and counts. */
export function testTensors(get: () => Runtime): void {
  test("are zeroed", async () => {
    const tensor = get().createTensor("f32", [5]);
    expect(await get().read(tensor)).toEqual(new Float32Array(5));
  });

  test.for([
    ["f32", Float32Array.of(1.5, -2, 3)],
    ["i32", Int32Array.of(1, -2, 3)],
    ["u32", Uint32Array.of(1, 2, 0xffffffff)],
    ["u8", Uint8Array.of(1, 2, 255)],
    ["bool", Uint8Array.of(1, 0, 1)],
  ] as const)("come back as they were made: %s", async ([dtype, data]) => {
    const tensor = get().createTensor(dtype, [3], data);
    expect(tensor.byteLength).toBe(data.byteLength);
    expect(await get().read(tensor)).toEqual(data);
  });

  test("of halves come back widened", async () => {
    const values = Float32Array.of(0.5, -2, 65504);
    const tensor = get().createTensor("f16", [3], f32ToF16(values));
    expect(await get().read(tensor)).toEqual(values);
  });

  test("of i64 come back as i32", async () => {
    const tensor = get().createTensor("i64", [2], BigInt64Array.of(7n, -8n));
    expect(await get().read(tensor)).toEqual(Int32Array.of(7, -8));
  });

  test("count their bytes until they are disposed, once", () => {
    const before = get().memory.tensorBytes;
    const tensor = get().createTensor("f32", [10, 10]);
    expect(get().memory.tensorBytes - before).toBe(400);
    tensor.dispose();
    tensor.dispose();
    expect(get().memory.tensorBytes).toBe(before);
    expect(get().memory.peakTensorBytes).toBeGreaterThanOrEqual(before + 400);
  });

  test("refuse to be read after dispose", async () => {
    const tensor = get().createTensor("f32", [1]);
    tensor.dispose();
    await expect(get().read(tensor)).rejects.toThrow("disposed");
  });

  test("beyond the limit are out-of-memory, with both numbers", () => {
    const elements = get().maxTensorBytes / 4 + 1;
    expect(() => get().createTensor("f32", [Math.ceil(elements)])).toThrow(
      expect.objectContaining({
        code: "out-of-memory",
        details: expect.objectContaining({ availableBytes: get().maxTensorBytes }),
      }),
    );
  });

  test("that are stable are zeroed, also where an old one was", async () => {
    for (const value of [1, 2]) {
      const tensor = await get().createStableTensor("f32", [2, 3]);
      expect(await get().read(tensor)).toEqual(new Float32Array(6));
      get().write(tensor, new Float32Array(6).fill(value));
      tensor.dispose();
    }
  });

  test.for(["f32", "f16", "i32", "u32", "u8", "bool", "i64"] as const)(
    "may be stable in every dtype: %s",
    async (dtype, { skip }) => {
      if (dtype === "f16" && get().backend === "webgpu" && get().float !== "f16") skip();
      const tensor = await get().createStableTensor(dtype, [3]);
      expect([...(await get().read(tensor))]).toEqual([0, 0, 0]);
      tensor.dispose();
    },
  );
}

/** Which bytes a write or a copy touches. */
export function testRanges(get: () => Runtime): void {
  const digits = () => get().createTensor("f32", [6], Float32Array.of(0, 1, 2, 3, 4, 5));

  test("a write changes its bytes only", async () => {
    const tensor = digits();
    get().write(tensor, Float32Array.of(8, 9), 8);
    expect(await get().read(tensor)).toEqual(Float32Array.of(0, 1, 8, 9, 4, 5));
  });

  test("a write may end on a broken word at the end of a tensor", async () => {
    const tensor = get().createTensor("u8", [7]);
    get().write(tensor, Uint8Array.of(1, 2, 3), 4);
    expect(await get().read(tensor)).toEqual(Uint8Array.of(0, 0, 0, 0, 1, 2, 3));
  });

  test.each([20, 28])("a tensor of 24 bytes is not made of %i", (bytes) => {
    const before = get().memory.tensorBytes;
    const make = () => get().createTensor("f32", [2, 3], new Uint8Array(bytes));
    expect(make).toThrow(RangeError);
    expect(make).toThrow(`f32 tensor [2, 3] of ${bytes} bytes: it has 24`);
    expect(get().memory.tensorBytes).toBe(before);
  });

  test("a copy moves the range it names", async () => {
    const target = get().createTensor("f32", [4]);
    get().copy(digits(), target, { sourceOffset: 8, targetOffset: 4, bytes: 8 });
    expect(await get().read(target)).toEqual(Float32Array.of(0, 2, 3, 0));
  });

  test("a copy without a range fills what fits", async () => {
    const target = get().createTensor("f32", [4]);
    get().copy(digits(), target);
    expect(await get().read(target)).toEqual(Float32Array.of(0, 1, 2, 3));
  });

  test.for([
    ["a write past the end", (tensor: Tensor) => get().write(tensor, new Float32Array(3), 16)],
    ["a write off a word", (tensor: Tensor) => get().write(tensor, new Float32Array(1), 2)],
    ["a copy past the end", (tensor: Tensor) => get().copy(digits(), tensor, { bytes: 28 })],
    ["a copy onto itself", (tensor: Tensor) => get().copy(tensor, tensor)],
  ] as const)("%s is a RangeError", ([, act]) => {
    expect(() => act(digits())).toThrow(RangeError);
  });
}
