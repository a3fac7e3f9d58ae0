import { describe, expect, test } from "vitest";

import { f32ToBf16, f32ToF16, fromF16Bits, toF16Bits } from "../../../src/base/float16.ts";
import {
  decodeFloats,
  findF16Overflow,
  findNonFinite,
  quantizeQ4,
  quantizeQ8,
  transposeRows,
} from "../../../src/weights/quantize.ts";
import { dequantize } from "../../support/dequantize.ts";
import { weights } from "../../support/tiny-checkpoint.ts";

const FORMATS = [
  { name: "q4", bits: 4 as const, quantize: quantizeQ4, blockBytes: 16, zeroByte: 0x88 },
  { name: "q8", bits: 8 as const, quantize: quantizeQ8, blockBytes: 32, zeroByte: 128 },
];

describe.each(FORMATS)("$name", ({ bits, quantize, blockBytes, zeroByte }) => {
  test("stays within the error bound of every block", () => {
    const width = 64;
    const rows = weights(200 * width, 7);
    const quantized = quantize(rows, width);
    const back = dequantize(quantized, width, bits);
    rows.forEach((value, index) => {
      const scale = Math.abs(fromF16Bits(quantized.scales[Math.floor(index / 32)] ?? 0));
      const isClipped = bits === 4 && Math.abs(value) > 7 * scale;
      const bound = scale * (isClipped ? 1 : 0.5) + Math.abs(value) * 2 ** -10;
      expect(Math.abs((back[index] ?? NaN) - value)).toBeLessThanOrEqual(bound);
    });
  });

  test("changes nothing the second time", () => {
    const width = 96;
    const once = quantize(weights(50 * width, 3), width);
    const twice = quantize(dequantize(once, width, bits), width);
    expect(twice).toEqual(once);
  });

  test("pads the last block of a row with zeros", () => {
    const width = 40;
    const { values, scales } = quantize(weights(3 * width, 5), width);
    expect(scales.length).toBe(6);
    expect(values.length).toBe(6 * blockBytes);
    for (let row = 0; row < 3; row++) {
      const end = (row * 2 + 2) * blockBytes;
      const padding = values.subarray(end - (blockBytes * 24) / 32, end);
      expect(padding.every((byte) => byte === zeroByte)).toBe(true);
    }
  });

  test("works for an odd width", () => {
    const width = 33;
    const rows = weights(4 * width, 9);
    const back = dequantize(quantize(rows, width), width, bits);
    expect(Math.max(...rows.map((value, i) => Math.abs(value - (back[i] ?? NaN))))).toBeLessThan(
      0.03,
    );
  });

  test("keeps a block of zeros zero", () => {
    const quantized = quantize(Float32Array.of(0, -0, ...new Float32Array(30)), 32);
    expect([...quantized.scales]).toEqual([0]);
    expect(quantized.values.every((byte) => byte === zeroByte)).toBe(true);
  });

  test("slices of rows give the same bytes as the whole", () => {
    const width = 72;
    const rows = weights(10 * width, 11);
    const whole = quantize(rows, width);
    const head = quantize(rows.subarray(0, 3 * width), width);
    const tail = quantize(rows.subarray(3 * width), width);
    expect([...head.values, ...tail.values]).toEqual([...whole.values]);
    expect([...head.scales, ...tail.scales]).toEqual([...whole.scales]);
  });

  test("does not leave its range where rounding the scale is coarse", () => {
    const tiny = Float32Array.from({ length: 32 }, (_, i) => (i % 2 ? 1 : -1) * 7.5 * 2 ** -24);
    const back = dequantize(quantize(tiny, 32), 32, bits);
    tiny.forEach((value, i) => expect(Math.abs((back[i] ?? NaN) - value)).toBeLessThan(2 ** -21));
  });
});

describe("quantizeQ4", () => {
  test("gives the bytes of a block done by hand", () => {
    const block = new Float32Array(32);
    block.set([-8, 7, 1, -1, 0.49, 0.5, 3.2, -3.6], 0); // scale 1
    const { values, scales } = quantizeQ4(block, 32);
    expect([...scales]).toEqual([toF16Bits(1)]);
    expect([...values.subarray(0, 4)]).toEqual([0xf0, 0x79, 0x98, 0x4b]);
  });

  test("takes a negative scale where the largest number is positive", () => {
    const block = new Float32Array(32);
    block.set([16, -14, 2]); // scale -2: 16 -> -8, -14 -> 7, 2 -> -1
    const { values, scales } = quantizeQ4(block, 32);
    expect([...scales]).toEqual([toF16Bits(-2)]);
    expect([...values.subarray(0, 2)]).toEqual([0xf0, 0x87]);
  });

  test("clips what the range does not hold", () => {
    const block = new Float32Array(32);
    block.set([-8, 8]);
    expect(quantizeQ4(block, 32).values[0]).toBe(0xf0); // -8 and 7
  });
});

describe("quantizeQ8", () => {
  test("gives the bytes of a block done by hand", () => {
    const block = new Float32Array(32);
    block.set([127, -127, 1, -1.4, 0.5, 63.5]); // scale 1
    const { values, scales } = quantizeQ8(block, 32);
    expect([...scales]).toEqual([toF16Bits(1)]);
    expect([...values.subarray(0, 7)]).toEqual([255, 1, 129, 127, 129, 192, 128]);
  });
});

describe("decodeFloats", () => {
  const numbers = Float32Array.of(0, -1.5, 3.25, 65504, -0.0009765625);
  test.each([
    ["F32", numbers],
    ["F64", Float64Array.from(numbers)],
    ["F16", f32ToF16(numbers)],
    ["BF16", f32ToBf16(numbers)],
  ] as const)("reads %s at any byte", (dtype, data) => {
    const bytes = new Uint8Array(data.byteLength + 3);
    bytes.set(new Uint8Array(data.buffer), 3);
    const expected = dtype === "BF16" ? [0, -1.5, 3.25, 65536, -0.0009765625] : [...numbers];
    expect([...decodeFloats(bytes.subarray(3), dtype)]).toEqual(expected);
  });
});

describe("transposeRows", () => {
  test("twice is the identity, slice by slice", () => {
    const [height, width] = [70, 130];
    const matrix = weights(height * width, 1);
    const turned = new Float32Array(height * width);
    transposeRows(matrix.subarray(0, 30 * width), turned, { width, height, first: 0 });
    transposeRows(matrix.subarray(30 * width), turned, { width, height, first: 30 });
    expect(turned[5 * height + 9]).toBe(matrix[9 * width + 5]);
    const back = new Float32Array(height * width);
    transposeRows(turned, back, { width: height, height: width, first: 0 });
    expect(back).toEqual(matrix);
  });
});

describe("checks", () => {
  test.each([NaN, Infinity, -Infinity])("finds %d", (bad) => {
    expect(findNonFinite(Float32Array.of(1, 3.4e38, bad, 2))).toBe(2);
  });

  test("accepts every finite number", () => {
    expect(findNonFinite(Float32Array.of(0, -0, 3.4e38, -1e-45))).toBe(-1);
  });

  test("finds numbers that became infinite as halves", () => {
    expect(findF16Overflow(f32ToF16(Float32Array.of(1, 65504, -65520)))).toBe(2);
    expect(findF16Overflow(f32ToF16(Float32Array.of(1, 65504, -65504)))).toBe(-1);
  });
});
