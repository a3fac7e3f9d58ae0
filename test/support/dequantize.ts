// The other direction of quantization, as MatMulNBits reads the blocks: ten plain lines to test against.
import { fromF16Bits } from "../../src/base/float16.ts";
import type { QuantizedRows } from "../../src/weights/quantize.ts";

/** Rows of quantized blocks as numbers, [rows, width]; padding is dropped. */
export function dequantize(
  { values, scales }: QuantizedRows,
  width: number,
  bits: 4 | 8,
): Float32Array<ArrayBuffer> {
  const blocks = Math.ceil(width / 32);
  const rows = scales.length / blocks;
  return Float32Array.from({ length: rows * width }, (_, index) => {
    const row = Math.floor(index / width);
    const column = index % width;
    const block = row * blocks + Math.floor(column / 32);
    const position = block * 32 + (column % 32);
    const byte = values[bits === 4 ? position >> 1 : position] ?? 0;
    const value = bits === 8 ? byte - 128 : ((position % 2 ? byte >> 4 : byte) & 15) - 8;
    return value * fromF16Bits(scales[block] ?? 0);
  });
}
