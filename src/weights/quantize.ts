// Numbers of a checkpoint into the layouts of the store. Pure functions over whole rows, so that a large
// matrix is converted slice by slice. Knows no files and no tensors' names.
import { QUANTIZATION_BLOCK } from "../base/dtype.ts";
import { bf16ToF32, f16ToF32, f32ToF16 } from "../base/float16.ts";

/** Element types of a checkpoint that can become weights. */
export type FloatDType = "F64" | "F32" | "F16" | "BF16";

/** Rows in blocks of 32: one byte (q8) or half a byte (q4, low half first) per weight, one f16 scale per block. */
export interface QuantizedRows {
  /** [rows, blocks, 32 or 16] */
  readonly values: Uint8Array<ArrayBuffer>;
  /** f16 bits, [rows, blocks]; a weight is (value - zero point) * scale. */
  readonly scales: Uint16Array<ArrayBuffer>;
}

/** Little-endian bytes of a checkpoint -> numbers. F64 is rounded to f32. */
export function decodeFloats(bytes: Uint8Array, dtype: FloatDType): Float32Array<ArrayBuffer> {
  // A copy: tensors start at any byte, typed arrays only at multiples of their element.
  const buffer = new Uint8Array(bytes).buffer;
  switch (dtype) {
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return f16ToF32(new Uint16Array(buffer));
    case "BF16":
      return bf16ToF32(new Uint16Array(buffer));
    default:
      return dtype satisfies never;
  }
}

/** Index of the first NaN or infinity, -1 when there is none. */
export function findNonFinite(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    if (((bits[i] ?? 0) & 0x7f800000) === 0x7f800000) return i;
  }
  return -1;
}

/** Index of the first number that f16 cannot hold (65520 and above), -1 when there is none. */
export function findF16Overflow(halves: Uint16Array): number {
  for (let i = 0; i < halves.length; i++) {
    if (((halves[i] ?? 0) & 0x7fff) === 0x7c00) return i;
  }
  return -1;
}

/**
 * Symmetric 8-bit blocks: scale = largest magnitude / 127, rounded to f16 before it is used; zero point
 * 128.
 *
 * The error of a weight is at most half a scale, plus what rounding the scale costs (2^-11 of the weight).
 *
 * @param width - numbers per row; the last block of a row is padded with zeros
 */
export function quantizeQ8(rows: Float32Array, width: number): QuantizedRows {
  const blocks = Math.ceil(width / QUANTIZATION_BLOCK);
  const scales = f32ToF16(extremes(rows, width).map((extreme) => Math.abs(extreme) / 127));
  const inverses = inversesOf(scales);
  const values = new Uint8Array(inverses.length * QUANTIZATION_BLOCK).fill(128);
  for (let block = 0; block < inverses.length; block++) {
    const inverse = inverses[block] ?? 0;
    const { start, end } = blockRange(block, blocks, width);
    let at = block * QUANTIZATION_BLOCK;
    for (let i = start; i < end; i++) {
      // + 0.5 and cutting off rounds to nearest: all sums are positive.
      const value = (rows[i] ?? 0) * inverse + 128.5;
      values[at++] = value > 255 ? 255 : value;
    }
  }
  return { values, scales };
}

/**
 * Symmetric 4-bit blocks: the number of largest magnitude becomes -8, so scale = number / -8, rounded to
 * f16 before it is used; zero point 8. This spends the sixteenth value, which a range of -7..7 would waste.
 *
 * The error of a weight is at most half a scale, except for weights of the opposite sign beyond 7 scales,
 * where it is at most one.
 *
 * @param width - numbers per row; the last block of a row is padded with zeros
 */
export function quantizeQ4(rows: Float32Array, width: number): QuantizedRows {
  const blocks = Math.ceil(width / QUANTIZATION_BLOCK);
  const scales = f32ToF16(extremes(rows, width).map((extreme) => 0 - extreme / 8));
  const inverses = inversesOf(scales);
  const values = new Uint8Array((inverses.length * QUANTIZATION_BLOCK) / 2).fill(0x88);
  for (let block = 0; block < inverses.length; block++) {
    const inverse = inverses[block] ?? 0;
    const { start, end } = blockRange(block, blocks, width);
    let at = (block * QUANTIZATION_BLOCK) / 2;
    for (let i = start; i < end; i += 2) {
      const low = nibble((rows[i] ?? 0) * inverse);
      const high = i + 1 < end ? nibble((rows[i + 1] ?? 0) * inverse) : 8;
      values[at++] = low | (high << 4);
    }
  }
  return { values, scales };
}

/**
 * Writes rows into their columns of a transposed matrix.
 *
 * @param rows - [count, width], rows `first` to `first + count` of the matrix
 * @param target - [width, height]
 */
export function transposeRows<T extends Float32Array | Uint16Array>(
  rows: T,
  target: T,
  {
    width,
    height,
    first,
  }: { readonly width: number; readonly height: number; readonly first: number },
): void {
  const count = rows.length / width;
  // Tiles of 64 keep both sides in the cache: 5 times faster than row by row at 2048 x 2048.
  const tile = 64;
  for (let column = 0; column < width; column += tile) {
    const lastColumn = Math.min(column + tile, width);
    for (let row = 0; row < count; row++) {
      for (let x = column; x < lastColumn; x++) {
        target[x * height + first + row] = rows[row * width + x] ?? 0;
      }
    }
  }
}

// The number of largest magnitude in each block, [rows, blocks]; of x and -x the negative one. Compared as
// bits with the sign moved to the end, which has no unpredictable branch: 4 times faster than with floats.
function extremes(rows: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const blocks = Math.ceil(width / QUANTIZATION_BLOCK);
  const found = new Uint32Array((rows.length / width) * blocks);
  const bits = new Uint32Array(rows.buffer, rows.byteOffset, rows.length);
  for (let block = 0; block < found.length; block++) {
    const { start, end } = blockRange(block, blocks, width);
    let largest = 0;
    for (let i = start; i < end; i++) {
      const word = bits[i] ?? 0;
      const rotated = ((word << 1) | (word >>> 31)) >>> 0;
      if (rotated > largest) largest = rotated;
    }
    found[block] = (largest >>> 1) | (largest << 31);
  }
  return new Float32Array(found.buffer);
}

// Block number `block` of all rows as indices into the rows.
function blockRange(block: number, blocks: number, width: number): { start: number; end: number } {
  const row = Math.floor(block / blocks);
  const start = row * width + (block - row * blocks) * QUANTIZATION_BLOCK;
  return { start, end: Math.min(start + QUANTIZATION_BLOCK, (row + 1) * width) };
}

function inversesOf(scales: Uint16Array): Float64Array<ArrayBuffer> {
  const steps = f16ToF32(scales);
  const inverses = new Float64Array(steps.length);
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] ?? 0;
    inverses[i] = step === 0 ? 0 : 1 / step;
  }
  return inverses;
}

// A number of scales -> 0..15. At least -8.5 by construction, so adding 8.5 leaves nothing below zero
// but what rounding the scale of a tiny block costs.
function nibble(steps: number): number {
  const value = steps + 8.5;
  return value > 15 ? 15 : value < 0 ? 0 : value | 0;
}
