// The two 16-bit float formats of checkpoints and shards, converted a whole array at a time. A half
// float is kept as its bits in a Uint16Array: Float16Array is younger than the browsers we run in.

const INFINITY_BITS = 0x7f800000;
/** 2^16 as f32 bits: from here on nothing rounds to a finite half. */
const HALF_OVERFLOW_BITS = 0x47800000;
/** 2^-14 as f32 bits: the smallest normal half. */
const HALF_NORMAL_BITS = 0x38800000;
/** 2^-25 as f32 bits: half of the smallest half; ties go to even, so to zero. */
const HALF_UNDERFLOW_BITS = 0x33000000;
/** (127 - 15) << 23: what separates the exponents of the two formats. */
const REBIAS = 0x38000000;

let halfTable: Float32Array | undefined;

/** f16 bits of one number, rounded to nearest even; too large becomes infinity. */
export function toF16Bits(value: number): number {
  return f32ToF16(Float32Array.of(value))[0] ?? 0;
}

/** The number that f16 bits stand for. */
export function fromF16Bits(bits: number): number {
  return tableOfHalves()[bits & 0xffff] ?? 0;
}

/**
 * f32 -> f16 bits, rounded to nearest even: subnormals are kept, too large becomes infinity, NaN stays
 * NaN.
 *
 * @param target - written and returned when given; at least as long as `source`
 */
export function f32ToF16(
  source: Float32Array,
  target: Uint16Array<ArrayBuffer> = new Uint16Array(source.length),
): Uint16Array<ArrayBuffer> {
  const bits = bitsOf(source);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] ?? 0;
    target[i] = ((word >>> 16) & 0x8000) | halfMagnitude(word & 0x7fffffff);
  }
  return target;
}

/** f16 bits -> f32, exact. */
export function f16ToF32(
  source: Uint16Array,
  target: Float32Array<ArrayBuffer> = new Float32Array(source.length),
): Float32Array<ArrayBuffer> {
  const table = tableOfHalves();
  for (let i = 0; i < source.length; i++) target[i] = table[source[i] ?? 0] ?? 0;
  return target;
}

/** f32 -> bf16 bits, rounded to nearest even; NaN stays NaN. */
export function f32ToBf16(
  source: Float32Array,
  target: Uint16Array<ArrayBuffer> = new Uint16Array(source.length),
): Uint16Array<ArrayBuffer> {
  const bits = bitsOf(source);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] ?? 0;
    const isNaN = (word & 0x7fffffff) > INFINITY_BITS;
    target[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return target;
}

/** bf16 bits -> f32, exact. */
export function bf16ToF32(
  source: Uint16Array,
  target: Float32Array<ArrayBuffer> = new Float32Array(source.length),
): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(target.buffer, target.byteOffset, source.length);
  for (let i = 0; i < source.length; i++) bits[i] = (source[i] ?? 0) << 16;
  return target;
}

function halfMagnitude(magnitude: number): number {
  if (magnitude >= HALF_OVERFLOW_BITS) return magnitude > INFINITY_BITS ? 0x7e00 : 0x7c00;
  if (magnitude >= HALF_NORMAL_BITS) {
    return (magnitude - REBIAS + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
  }
  return magnitude <= HALF_UNDERFLOW_BITS ? 0 : halfSubnormal(magnitude);
}

function halfSubnormal(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23); // 14..24
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const whole = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return rest > tie || (rest === tie && (whole & 1) === 1) ? whole + 1 : whole;
}

function bitsOf(source: Float32Array): Uint32Array {
  return new Uint32Array(source.buffer, source.byteOffset, source.length);
}

// 256 KiB, and several times faster than taking each number apart.
function tableOfHalves(): Float32Array {
  if (halfTable) return halfTable;
  halfTable = Float32Array.from({ length: 0x10000 }, (_, bits) => {
    const exponent = (bits >>> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    const magnitude =
      exponent === 0x1f
        ? fraction === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return bits & 0x8000 ? -magnitude : magnitude;
  });
  return halfTable;
}
