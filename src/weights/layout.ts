// Where every byte of a stored model goes, computed before any byte is read. All parts form one stream in
// file order, cut into shards of equal size. The work is split into jobs, each of which reads some rows and
// writes one stretch of the stream: resuming and repairing are just running some of the jobs again.
import { assert } from "../base/assert.ts";
import { bytesPerElement } from "../base/dtype.ts";
import { elementCount } from "../base/shape.ts";
import type { StoredPart } from "../base/weight-declaration.ts";
import { storedParts } from "../base/weight-declaration.ts";
import type { WeightRecipe } from "./recipe.ts";
import { FLOAT_BYTES } from "./recipe.ts";

/** Bytes of a shard, the last one excepted: one IndexedDB record, one hash, one unit of repair. */
export const SHARD_BYTES: number = 16 * 1024 * 1024;

/** Source bytes that are converted at once. */
const ROWS_BYTES = 4 * 1024 * 1024;

/** A stretch of a stored part inside one shard. */
export interface Piece {
  /** Number of the shard. */
  readonly shard: number;
  readonly shardOffset: number;
  readonly bytes: number;
}

/** A stored part and where its bytes are, in order. */
export interface StoredTensor extends StoredPart {
  readonly pieces: readonly Piece[];
}

/** Some whole rows of a weight. A plain weight's rows are single numbers. */
export interface RowSlice {
  readonly firstRow: number;
  readonly rows: number;
  /** Bytes of the source file, end exclusive. */
  readonly start: number;
  readonly end: number;
}

/** One stretch of work: slices in, bytes `streamStart` to `streamEnd` of the stream out. */
export interface Job {
  readonly recipe: WeightRecipe;
  /** Several where only the whole matrix can be written, because it is transposed. */
  readonly slices: readonly RowSlice[];
  readonly streamStart: number;
  readonly streamEnd: number;
}

/** The whole plan. */
export interface Layout {
  readonly tensors: readonly StoredTensor[];
  /** In stream order. */
  readonly jobs: readonly Job[];
  readonly totalBytes: number;
  /** Bytes of every shard but the last. */
  readonly shardBytes: number;
  readonly shardCount: number;
}

/** True for matrices that are stored `[in, out]`, the other way round than in the checkpoint. */
export function isTransposed({ use, storage }: WeightRecipe): boolean {
  return use === "linear" && (storage === "f32" || storage === "f16");
}

/** Height and width of a weight as the conversion sees it. */
export function rowsOf({ key, use, shape, storage }: WeightRecipe): {
  height: number;
  width: number;
} {
  const isFlat =
    use === "plain" || (use === "embedding" && (storage === "f32" || storage === "f16"));
  if (isFlat) return { height: elementCount(shape), width: 1 };
  const [height, width] = shape;
  assert(shape.length === 2 && height !== undefined && width !== undefined, `${key} is no matrix`);
  return { height, width };
}

/** Plans all weights in the given order. The same recipes give the same layout. */
export function layOut(recipes: readonly WeightRecipe[], shardBytes: number = SHARD_BYTES): Layout {
  const tensors: StoredTensor[] = [];
  const jobs: Job[] = [];
  let position = 0;
  for (const recipe of recipes) {
    const parts = storedParts(recipe, recipe.storage);
    const pieces = parts.map((): Piece[] => []);
    for (const slices of jobsOf(recipe)) {
      const streamStart = position;
      const rows = slices.reduce((sum, slice) => sum + slice.rows, 0);
      parts.forEach((part, index) => {
        const bytes = (partBytes(part) / rowsOf(recipe).height) * rows;
        pieces[index]?.push(...cut(position, bytes, shardBytes));
        position += bytes;
      });
      jobs.push({ recipe, slices, streamStart, streamEnd: position });
    }
    parts.forEach((part, index) => tensors.push({ ...part, pieces: joined(pieces[index] ?? []) }));
  }
  const shardCount = Math.ceil(position / shardBytes);
  return { tensors, jobs, totalBytes: position, shardBytes, shardCount };
}

/** Bytes of a stored part. */
export function partBytes({ dtype, shape }: StoredPart): number {
  return elementCount(shape) * bytesPerElement(dtype);
}

/** Bytes of shard number `shard`. */
export function shardLength({ totalBytes, shardBytes }: Layout, shard: number): number {
  return Math.min(shardBytes, totalBytes - shard * shardBytes);
}

function jobsOf(recipe: WeightRecipe): RowSlice[][] {
  const slices = slicesOf(recipe);
  return isTransposed(recipe) ? [slices] : slices.map((slice) => [slice]);
}

function slicesOf(recipe: WeightRecipe): RowSlice[] {
  const { height, width } = rowsOf(recipe);
  const rowBytes = width * FLOAT_BYTES[recipe.dtype];
  const step = Math.max(1, Math.floor(ROWS_BYTES / rowBytes));
  const slices: RowSlice[] = [];
  for (let firstRow = 0; firstRow < height; firstRow += step) {
    const rows = Math.min(step, height - firstRow);
    const start = recipe.start + firstRow * rowBytes;
    slices.push({ firstRow, rows, start, end: start + rows * rowBytes });
  }
  return slices;
}

// A stretch of the stream as pieces of shards.
function cut(start: number, bytes: number, shardBytes: number): Piece[] {
  const pieces: Piece[] = [];
  for (let position = start; position < start + bytes;) {
    const shard = Math.floor(position / shardBytes);
    const shardOffset = position - shard * shardBytes;
    const length = Math.min(shardBytes - shardOffset, start + bytes - position);
    pieces.push({ shard, shardOffset, bytes: length });
    position += length;
  }
  return pieces;
}

// Pieces that follow each other inside a shard become one.
function joined(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if (last?.shard === piece.shard && last.shardOffset + last.bytes === piece.shardOffset) {
      result[result.length - 1] = { ...last, bytes: last.bytes + piece.bytes };
    } else result.push(piece);
  }
  return result;
}
