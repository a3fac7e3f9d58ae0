// What the rows of a guided flow may attend to: positions and additive attention biases for prompts of
// different lengths in one batch, padded to a common length. Pure numbers.

// Added to a score instead of -infinity: far below any score, and still a finite f16 number.
const HIDDEN = -30000;

/** One row of a guided flow. */
export interface ConditionRow {
  /** The prompt's ids; never empty. */
  readonly ids: readonly number[];
  /** Position of the first flow slot: the prompt's own length unless the reference says otherwise. */
  readonly start: number;
  /** Slots of pictures in the prompt, [first, end): each sees the whole of itself. Default none. */
  readonly pictures?: readonly (readonly [first: number, end: number])[];
}

/** i32 [rows, length]: ids padded with 0 at the end. */
export function paddedIds(rows: readonly ConditionRow[], length: number): Int32Array<ArrayBuffer> {
  const padded = new Int32Array(rows.length * length);
  rows.forEach(({ ids }, row) => padded.set(ids, row * length));
  return padded;
}

/**
 * f32 [rows, 1, length, length]: causal but for pictures, and padding seen by nobody but padding.
 * A padded slot still sees its past, so that no row of scores is hidden whole.
 */
export function promptBias(
  rows: readonly ConditionRow[],
  length: number,
): Float32Array<ArrayBuffer> {
  const bias = new Float32Array(rows.length * length * length);
  rows.forEach(({ pictures = [] }, row) => {
    const ends = pictureEnds(pictures, length);
    for (let query = 0; query < length; query++) {
      const begin = (row * length + query) * length;
      bias.fill(HIDDEN, begin + (ends[query] ?? query + 1), begin + length);
    }
  });
  return bias;
}

/** For each slot the first one that it does not see: the next slot, or the end of its picture. */
function pictureEnds(
  pictures: NonNullable<ConditionRow["pictures"]>,
  length: number,
): Int32Array<ArrayBuffer> {
  const ends = Int32Array.from({ length }, (_, slot) => slot + 1);
  for (const [first, end] of pictures) ends.fill(end, first, end);
  return ends;
}

/**
 * f32 [rows, 1, length, prefix + length]: every flow slot sees its row's prompt, not the padding behind it,
 * and the flow slots up to itself (causal).
 */
export function causalFlowBias(
  rows: readonly ConditionRow[],
  prefix: number,
  length: number,
): Float32Array<ArrayBuffer> {
  const width = prefix + length;
  const bias = new Float32Array(rows.length * length * width);
  rows.forEach(({ ids }, row) => {
    for (let query = 0; query < length; query++) {
      const begin = (row * length + query) * width;
      bias.fill(HIDDEN, begin + ids.length, begin + prefix);
      bias.fill(HIDDEN, begin + prefix + query + 1, begin + width);
    }
  });
  return bias;
}

/**
 * f32 [rows, 1, length, prefix + length]: the first flow slot (a time) sees its row's prompt and itself, every
 * other slot (a patch) the prompt and all flow slots. Nobody sees the padding behind the prompt.
 */
export function timeThenPatchesBias(
  rows: readonly ConditionRow[],
  prefix: number,
  length: number,
): Float32Array<ArrayBuffer> {
  const width = prefix + length;
  const bias = new Float32Array(rows.length * length * width);
  rows.forEach(({ ids }, row) => {
    const first = row * length * width;
    for (let query = 0; query < length; query++) {
      const begin = first + query * width;
      bias.fill(HIDDEN, begin + ids.length, begin + prefix);
    }
    bias.fill(HIDDEN, first + prefix + 1, first + width);
  });
  return bias;
}

/** i64 [rows, length]: consecutive positions from each row's start. */
export function flowPositions(
  starts: readonly number[],
  length: number,
): BigInt64Array<ArrayBuffer> {
  const positions = new BigInt64Array(starts.length * length);
  starts.forEach((start, row) => {
    for (let slot = 0; slot < length; slot++) positions[row * length + slot] = BigInt(start + slot);
  });
  return positions;
}
