import { describe, expect, test } from "vitest";

import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  fromF16Bits,
  toF16Bits,
} from "../../../src/base/float16.ts";

const ALL_BITS = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

describe("f32ToF16", () => {
  test("is the inverse of f16ToF32 for every half that is a number", () => {
    const back = f32ToF16(f16ToF32(ALL_BITS));
    const wrong = ALL_BITS.filter((bits) => !isHalfNaN(bits) && back[bits] !== bits);
    expect([...wrong]).toEqual([]);
  });

  test("keeps NaN a NaN", () => {
    const back = f32ToF16(f16ToF32(ALL_BITS.filter(isHalfNaN)));
    expect(back.every(isHalfNaN)).toBe(true);
  });

  test("rounds the midpoint of any two neighbours to the even one", () => {
    for (let low = 0; low < 0x7bff; low += 1) {
      const middle = (fromF16Bits(low) + fromF16Bits(low + 1)) / 2;
      expect(toF16Bits(middle)).toBe(low % 2 === 0 ? low : low + 1);
      expect(toF16Bits(-middle)).toBe(0x8000 | (low % 2 === 0 ? low : low + 1));
    }
  });

  test("rounds what is just above a midpoint up and just below down", () => {
    for (let low = 0; low < 0x7bff; low += 7) {
      const middle = (fromF16Bits(low) + fromF16Bits(low + 1)) / 2;
      expect(toF16Bits(middle * (1 + 2 ** -22))).toBe(low + 1);
      expect(toF16Bits(middle * (1 - 2 ** -22))).toBe(low);
    }
  });

  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [65504, 0x7bff],
    [65519.996, 0x7bff],
    [65520, 0x7c00],
    [1e38, 0x7c00],
    [-Infinity, 0xfc00],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [1e-40, 0x0000],
  ])("%f is 0x%s", (value, bits) => {
    expect(toF16Bits(value)).toBe(bits);
  });

  test("works on a view into a larger buffer", () => {
    const view = new Float32Array(new Float32Array([9, 1, 2, 9]).buffer, 4, 2);
    expect([...f32ToF16(view)]).toEqual([0x3c00, 0x4000]);
  });
});

describe("f32ToBf16", () => {
  test("is the inverse of bf16ToF32 for every number", () => {
    const back = f32ToBf16(bf16ToF32(ALL_BITS));
    const wrong = ALL_BITS.filter((bits) => (bits & 0x7fff) <= 0x7f80 && back[bits] !== bits);
    expect([...wrong]).toEqual([]);
  });

  test("rounds ties to even", () => {
    const ties = new Float32Array(new Uint32Array([0x3f808000, 0x3f818000, 0x3f808001]).buffer);
    expect([...f32ToBf16(ties)]).toEqual([0x3f80, 0x3f82, 0x3f81]);
  });

  test("keeps NaN a NaN whose payload sits in the dropped half", () => {
    const nan = new Float32Array(new Uint32Array([0x7f800001]).buffer);
    expect(bf16ToF32(f32ToBf16(nan))[0]).toBeNaN();
  });
});

function isHalfNaN(bits: number): boolean {
  return (bits & 0x7fff) > 0x7c00;
}
