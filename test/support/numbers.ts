// Numbers for tests: without a pattern that a wrong axis could hide in, and the same everywhere.

/** `count` numbers in [-1, 1]; another `seed`, other numbers. */
export function waves(count: number, seed = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, n) => Math.sin(n * 1.37 + seed * 0.91 + 0.3));
}

/** 0, 1, 2 ... */
export function ramp(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, n) => n);
}
