// Distances between what we computed and what the reference computed.

/** Largest difference over the largest reference value: the measure of every parity bar. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let difference = 0;
  for (let k = 0; k < expected.length; k++) {
    const [a = Number.NaN, e = Number.NaN] = [actual[k], expected[k]];
    largest = Math.max(largest, Math.abs(e));
    // NaN must not slip through Math.max.
    difference = Math.max(difference, Number.isFinite(a) ? Math.abs(a - e) : Infinity);
  }
  return difference / largest;
}

/** Cosine of the angle between two vectors: the measure of quantized runs. */
export function cosine(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [dot, aa, ee] = [0, 0, 0];
  for (let k = 0; k < expected.length; k++) {
    const [a = 0, e = 0] = [actual[k], expected[k]];
    dot += a * e;
    aa += a * a;
    ee += e * e;
  }
  return dot / Math.sqrt(aa * ee);
}

/** Largest difference. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  for (let k = 0; k < expected.length; k++) {
    difference = Math.max(difference, Math.abs((actual[k] ?? Number.NaN) - (expected[k] ?? 0)));
  }
  return difference;
}
