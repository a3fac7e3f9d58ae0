// Phi-3's scaled rotation: one list of factors for short sequences and one for long ones, decided by the whole
// sequence, and one attention scale for both.
// https://github.com/huggingface/transformers/blob/v4.45.2/src/transformers/models/phi3/modeling_phi3.py#L251-L289

/** What the rotation depends on. */
export interface LongRope {
  readonly headDim: number;
  readonly ropeTheta: number;
  readonly maxPositions: number;
  /** A sequence of more slots than this is long. */
  readonly originalPositions: number;
  /** Divide the frequencies, headDim / 2 numbers each. */
  readonly short: readonly number[];
  readonly long: readonly number[];
}

/** True when a sequence of this many slots turns by the long factors. */
export function isLong({ originalPositions }: LongRope, slots: number): boolean {
  return slots > originalPositions;
}

/**
 * cos and sin for rows of both kinds in one table, [2 * positions, headDim / 2] each: position p of a short
 * sequence is row p, that of a long one row positions + p.
 */
export function longRopeTables(
  rope: LongRope,
  positions: number,
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const half = rope.headDim / 2;
  const frequencies = [rope.short, rope.long].map((factors) => frequenciesOf(rope, factors));
  const angles = Float32Array.from({ length: 2 * positions * half }, (_, at) => {
    const row = Math.floor(at / half);
    return (row % positions) * (frequencies[row < positions ? 0 : 1]?.[at % half] ?? 0);
  });
  const scale = attentionScale(rope);
  return {
    cos: angles.map((angle) => scale * Math.cos(angle)),
    sin: angles.map((angle) => scale * Math.sin(angle)),
  };
}

// The reference's own order of roundings to f32.
function frequenciesOf(
  { headDim, ropeTheta }: LongRope,
  factors: readonly number[],
): Float32Array<ArrayBuffer> {
  return Float32Array.from(factors, (factor, i) => {
    const power = Math.fround(ropeTheta ** Math.fround((2 * i) / headDim));
    return 1 / Math.fround(Math.fround(factor) * power);
  });
}

// Multiplies queries and keys alike, also those of short sequences.
function attentionScale({ maxPositions, originalPositions }: LongRope): number {
  const growth = maxPositions / originalPositions;
  return growth <= 1 ? 1 : Math.sqrt(1 + Math.log(growth) / Math.log(originalPositions));
}
