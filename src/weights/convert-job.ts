// The conversion of one job: rows of a checkpoint in, bytes of the store out.
import { present } from "../base/assert.ts";
import { fail } from "../base/errors.ts";
import type { ModelError } from "../base/errors.ts";
import { f32ToF16 } from "../base/float16.ts";
import { allocate } from "./allocate.ts";
import type { Job } from "./layout.ts";
import { isTransposed, rowsOf } from "./layout.ts";
import {
  decodeFloats,
  findF16Overflow,
  findNonFinite,
  quantizeQ4,
  quantizeQ8,
  transposeRows,
} from "./quantize.ts";
import type { WeightRecipe } from "./recipe.ts";

/**
 * Converts one job.
 *
 * @param nextSlice - the bytes of the job's slices, one per call, in order
 * @returns what goes to the stream, in order
 * @throws ModelError checkpoint-invalid for NaN, infinities, and numbers that the storage cannot hold
 */
export async function convertJob(
  { recipe, slices }: Job,
  nextSlice: () => Promise<Uint8Array>,
): Promise<Uint8Array[]> {
  if (isTransposed(recipe)) return [await transpose(recipe, slices.length, nextSlice)];
  const { width } = rowsOf(recipe);
  const values = decode(recipe, await nextSlice());
  switch (recipe.storage) {
    case "f32":
      return [bytesOf(values)];
    case "f16":
      return [bytesOf(halves(recipe, values))];
    case "q8":
      return quantized(recipe, quantizeQ8(values, width));
    case "q4":
      return quantized(recipe, quantizeQ4(values, width));
    default:
      return recipe.storage satisfies never;
  }
}

async function transpose(
  recipe: WeightRecipe,
  slices: number,
  nextSlice: () => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { height, width } = rowsOf(recipe);
  const isHalf = recipe.storage === "f16";
  const { buffer } = allocate(height * width * (isHalf ? 2 : 4), recipe.tensor);
  const target = isHalf ? new Uint16Array(buffer) : new Float32Array(buffer);
  let first = 0;
  for (let slice = 0; slice < slices; slice++) {
    const values = decode(recipe, await nextSlice());
    const place = { width, height, first };
    if (target instanceof Uint16Array) transposeRows(halves(recipe, values), target, place);
    else transposeRows(values, target, place);
    first += values.length / width;
  }
  return bytesOf(target);
}

function decode(recipe: WeightRecipe, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const values = decodeFloats(bytes, recipe.dtype);
  const at = findNonFinite(values);
  if (at < 0) return values;
  throw unusable(recipe, `holds ${present(values[at], "value")}`, "The checkpoint is damaged.");
}

function halves(recipe: WeightRecipe, values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = f32ToF16(values);
  const at = findF16Overflow(bits);
  if (at < 0) return bits;
  const advice = 'It needs quantization: "f32".';
  throw unusable(recipe, `holds ${present(values[at], "value")}, which f16 cannot`, advice);
}

function quantized(
  recipe: WeightRecipe,
  { values, scales }: ReturnType<typeof quantizeQ4>,
): Uint8Array[] {
  if (findF16Overflow(scales) < 0) return [values, bytesOf(scales)];
  const advice = 'It needs quantization: "f32".';
  throw unusable(recipe, "holds numbers whose scale f16 cannot hold", advice);
}

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function unusable({ tensor, file }: WeightRecipe, what: string, advice: string): ModelError {
  return fail("checkpoint-invalid", `The tensor ${tensor} in ${file} ${what}. ${advice}`, {
    tensor,
    file,
  });
}
