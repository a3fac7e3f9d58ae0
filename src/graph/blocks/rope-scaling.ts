// LLaMA-3's scaled rotation: slow rotations are slowed down further for long contexts, fast ones stay, those
// between go over smoothly. Pure numbers.
// https://github.com/huggingface/transformers/blob/v4.46.3/src/transformers/modeling_rope_utils.py#L301-L348

/** The numbers of a `llama3` rope_scaling. */
export interface RopeScaling {
  /** How much slower slow rotations get. */
  readonly factor: number;
  /** Rotations with fewer than this many turns in the original context are slow. */
  readonly slowTurns: number;
  /** Rotations with more than this many turns in the original context are fast. */
  readonly fastTurns: number;
  /** Positions of the context before it was made longer. */
  readonly originalPositions: number;
}

/** A rotation's radians per position, scaled. */
export function scaledFrequency(
  frequency: number,
  { factor, slowTurns, fastTurns, originalPositions }: RopeScaling,
): number {
  const turns = (originalPositions * frequency) / (2 * Math.PI);
  if (turns > fastTurns) return frequency;
  if (turns < slowTurns) return frequency / factor;
  const fast = (turns - slowTurns) / (fastTurns - slowTurns);
  return ((1 - fast) * frequency) / factor + fast * frequency;
}
