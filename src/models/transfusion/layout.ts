// Where slots are and what they see. A picture's slots share one position and see all of their picture;
// text sees what is before it. Pure numbers.

/** Pieces of a sequence by their slots. */
export interface SlotPiece {
  readonly isPicture: boolean;
  readonly slots: number;
}

/** New slots behind those that a cache holds. */
export interface SlotLayout {
  /** Slots in the cache with the new ones. */
  readonly length: number;
  /** Position of each new slot. */
  readonly positions: readonly number[];
  /** Position of the slot that would follow. */
  readonly next: number;
  /** f32 [new slots]: 1 where a slot is a picture's. */
  readonly pictures: Float32Array<ArrayBuffer>;
  /** The first slot that each new slot does not see. */
  readonly ends: readonly number[];
}

// Added to a score instead of -infinity: far below any score, and still a finite f16 number.
const HIDDEN = -30000;

/**
 * Lays out pieces.
 *
 * @param from - slots that are there, and the position of the next one
 */
export function layOut(
  pieces: readonly SlotPiece[],
  from: { readonly length: number; readonly next: number },
): SlotLayout {
  const positions: number[] = [];
  const ends: number[] = [];
  const pictures: number[] = [];
  let { length, next } = from;
  for (const { isPicture, slots } of pieces) {
    for (let slot = 0; slot < slots; slot++) {
      positions.push(isPicture ? next : next + slot);
      ends.push(length + (isPicture ? slots : slot + 1));
      pictures.push(isPicture ? 1 : 0);
    }
    length += slots;
    next += isPicture ? 1 : slots;
  }
  return { length, positions, next, ends, pictures: Float32Array.from(pictures) };
}

/** f32 [1, 1, new slots, capacity]: what each new slot sees of the cache. */
export function slotBias({ ends }: SlotLayout, capacity: number): Float32Array<ArrayBuffer> {
  const bias = new Float32Array(ends.length * capacity);
  ends.forEach((end, slot) => bias.fill(HIDDEN, slot * capacity + end, (slot + 1) * capacity));
  return bias;
}

/** f32 [rows, 1, 1, capacity + slots]: a picture sees its row's cache as far as it is filled, and itself. */
export function pictureBias(
  lengths: readonly number[],
  capacity: number,
  slots: number,
): Float32Array<ArrayBuffer> {
  const width = capacity + slots;
  const bias = new Float32Array(lengths.length * width);
  lengths.forEach((length, row) => bias.fill(HIDDEN, row * width + length, row * width + capacity));
  return bias;
}

const THETA = 10000;

/** cos and sin of the angles of positions, [positions, head size / 2] each. */
export function ropeRows(
  headDim: number,
  positions: readonly number[],
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const half = headDim / 2;
  // The library multiplies in f32: angle = position * f32(theta^(-2i/size)).
  const frequencies = Float32Array.from({ length: half }, (_, i) => THETA ** ((-2 * i) / headDim));
  const angles = new Float32Array(positions.length * half);
  positions.forEach((position, row) =>
    frequencies.forEach((frequency, i) => {
      angles[row * half + i] = position * frequency;
    }),
  );
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}
