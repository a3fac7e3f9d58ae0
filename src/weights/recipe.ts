// How one weight of the store is made: where its numbers are in the checkpoint and how they are stored.
// Plain data, kept in the manifest, so that a damaged shard can be made again without the model's family.
import { assert } from "../base/assert.ts";
import type { Quantization } from "../base/dtype.ts";
import { fail } from "../base/errors.ts";
import type { ModelError } from "../base/errors.ts";
import type { Shape } from "../base/shape.ts";
import { elementCount, sameShape } from "../base/shape.ts";
import type { Storage, WeightDeclaration, WeightUse } from "../base/weight-declaration.ts";
import { storageOf } from "../base/weight-declaration.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FloatDType } from "./quantize.ts";
import type { TensorEntry } from "./tensor-entry.ts";

/** One weight to make. */
export interface WeightRecipe {
  readonly key: string;
  /** Name in the checkpoint, for messages. */
  readonly tensor: string;
  readonly use: WeightUse;
  readonly storage: Storage;
  readonly shape: Shape;
  /** "" for the model's own files, else the companion's id. */
  readonly companion: string;
  readonly file: string;
  readonly dtype: FloatDType;
  /** Bytes of the file that hold the weight (of the slice, where it is one), end exclusive. */
  readonly start: number;
  readonly end: number;
}

/** Bytes of one element in a checkpoint. */
export const FLOAT_BYTES: Readonly<Record<FloatDType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
};

/** Names that an error lists before it says "and n more". */
const LISTED = 8;

/**
 * Finds every declared weight in the checkpoints.
 *
 * @param companions - opened companions by id
 * @returns one recipe per key, in the order of files and bytes
 * @throws ModelError checkpoint-invalid naming the tensors that are missing or of another shape or type
 */
export function findWeights(
  declarations: readonly WeightDeclaration[],
  quantization: Quantization,
  checkpoint: Checkpoint,
  companions: Readonly<Record<string, Checkpoint>>,
): WeightRecipe[] {
  const faults: string[] = [];
  const recipes = new Map<string, WeightRecipe>();
  for (const weight of declarations) {
    const owner = weight.companion === "" ? checkpoint : companions[weight.companion];
    assert(owner, `the companion "${weight.companion}" of ${weight.key} was not opened`);
    const found = findWeight(weight, storageOf(weight, quantization), owner);
    if (typeof found === "string") faults.push(found);
    else keep(recipes, found);
  }
  if (faults.length > 0) throw unusable(checkpoint.source.id, faults, declarations.length);
  return [...recipes.values()].toSorted(inFileOrder);
}

function keep(recipes: Map<string, WeightRecipe>, recipe: WeightRecipe): void {
  const known = recipes.get(recipe.key);
  assert(
    !known || JSON.stringify(known) === JSON.stringify(recipe),
    `${recipe.key} is declared twice, in different ways`,
  );
  recipes.set(recipe.key, recipe);
}

/** The recipe, or what is wrong. */
function findWeight(
  weight: WeightDeclaration,
  storage: Storage,
  { tensors }: Checkpoint,
): WeightRecipe | string {
  const { key, use, shape, companion, sourceShape } = weight;
  const name = [weight.tensor, ...weight.aliases].find((candidate) => tensors.has(candidate));
  const entry = name === undefined ? undefined : tensors.get(name);
  const shown = companion === "" ? weight.tensor : `${companion}: ${weight.tensor}`;
  if (name === undefined || !entry) return `${shown} is missing`;
  if (!sameButOnes(entry.shape, sourceShape)) {
    return `${shown} is [${entry.shape.join(", ")}], expected [${sourceShape.join(", ")}]`;
  }
  if (entry.fault !== undefined) return `${shown} ${entry.fault}`;
  if (!isFloat(entry.dtype)) return `${shown} is ${entry.dtype}, expected F32, F16 or BF16`;
  const { file, dtype } = entry;
  return {
    key,
    tensor: name,
    use,
    storage,
    shape,
    companion,
    file,
    dtype,
    ...byteRange(weight, entry),
  };
}

function byteRange(
  { key, rows, shape, sourceShape }: WeightDeclaration,
  { start, end }: TensorEntry,
): { start: number; end: number } {
  if (!rows) return { start, end };
  const [height = 1] = sourceShape;
  const rowBytes = (end - start) / height;
  const [first, last] = rows;
  const isSlice = elementCount(shape) * height === elementCount(sourceShape) * (last - first);
  assert(
    0 <= first && first < last && last <= height && isSlice,
    `${key} is no slice of its tensor`,
  );
  return { start: start + first * rowBytes, end: start + last * rowBytes };
}

function isFloat(dtype: string): dtype is FloatDType {
  return Object.hasOwn(FLOAT_BYTES, dtype);
}

function sameButOnes(a: Shape, b: Shape): boolean {
  const isNotOne = (size: number): boolean => size !== 1;
  return sameShape(a, b) || sameShape(a.filter(isNotOne), b.filter(isNotOne));
}

function inFileOrder(a: WeightRecipe, b: WeightRecipe): number {
  return (
    compare(a.companion, b.companion) ||
    compare(a.file, b.file) ||
    a.start - b.start ||
    a.end - b.end ||
    compare(a.key, b.key)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function unusable(source: string, faults: readonly string[], total: number): ModelError {
  const listed = faults.slice(0, LISTED).join("; ");
  const more = faults.length > LISTED ? `; and ${faults.length - LISTED} more` : "";
  return fail(
    "checkpoint-invalid",
    `${source} does not hold the weights that its config.json describes: ${listed}${more} (${faults.length} of ${total}). Check that config.json and the weights belong together.`,
    { source, faults: faults.slice(0, 64), count: faults.length },
  );
}
