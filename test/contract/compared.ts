// What a family's contract computes and leaves to its caller to judge: f32 is held to its bars, quantized runs to
// floors of their cosines.

/** A computed stage and the reference's numbers for it. */
export interface Compared {
  readonly stage: string;
  readonly actual: ArrayLike<number>;
  readonly expected: ArrayLike<number>;
}

/** Two lists of ids that ought to be equal. */
export interface ComparedIds {
  readonly actual: readonly number[];
  readonly expected: readonly number[];
}
