// The counter-based random number behind a picked token, the same in TypeScript and WGSL.

/** A seed as the two words that the hash takes: low 32 bits, then the next 32 (two's complement). */
export function seedWords(seed: number): [low: number, high: number] {
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}

/**
 * A number in [0, 1) with 24 bits for a seed and a counter: pcg3d of (low, high, counter).
 *
 * @see https://jcgt.org/published/0009/03/02/ Jarzynski and Olano, Hash Functions for GPU Rendering
 */
export function uniformOf(seed: number, counter: number): number {
  let [x, y] = seedWords(seed);
  let z = counter;
  x = mix(x);
  y = mix(y);
  z = mix(z);
  [x, y, z] = cross(x, y, z);
  [x, y, z] = [x ^ (x >>> 16), y ^ (y >>> 16), z ^ (z >>> 16)];
  [x] = cross(x, y, z);
  return (x >>> 8) * 2 ** -24;
}

function mix(word: number): number {
  return Math.imul(word, 1664525) + 1013904223;
}

function cross(x: number, y: number, z: number): [number, number, number] {
  const first = (x + Math.imul(y, z)) | 0;
  const second = (y + Math.imul(z, first)) | 0;
  const third = (z + Math.imul(first, second)) | 0;
  return [first, second, third];
}
