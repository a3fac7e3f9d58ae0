// A weight from the checkpoint's layout into the store's, by the definition: transpose or quantize.
import type { Quantization } from "../../src/base/dtype.ts";
import { f32ToF16 } from "../../src/base/float16.ts";
import {
  storageOf,
  storedParts,
  type WeightDeclaration,
} from "../../src/base/weight-declaration.ts";
import { quantizeQ4, quantizeQ8 } from "../../src/weights/quantize.ts";

/** Numbers of a weight in the checkpoint's order, after slicing rows. */
export type WeightValues = (weight: WeightDeclaration) => Float32Array;

/** One stored part and its numbers. */
export type StoredBytes = { readonly name: string } & (
  | { readonly dtype: "u8"; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly dtype: "f32" | "f16"; readonly data: Float32Array | Uint16Array }
);

/** What the importer would store. */
export function storeWeight(
  weight: WeightDeclaration,
  quantization: Quantization,
  valuesOf: WeightValues,
): StoredBytes[] {
  const values = valuesOf(weight);
  const storage = storageOf(weight, quantization);
  const names = storedParts(weight, storage).map(({ name }) => name);
  const [name = "", scaleName = ""] = names;
  if (storage === "q4" || storage === "q8") {
    const quantize = storage === "q4" ? quantizeQ4 : quantizeQ8;
    const blocks = quantize(values, weight.shape.at(-1) ?? 1);
    return [
      { name, dtype: "u8", data: blocks.values },
      { name: scaleName, dtype: "f16", data: blocks.scales },
    ];
  }
  const laid = weight.use === "linear" ? transposed(values, weight.shape) : values;
  return [{ name, dtype: storage, data: storage === "f16" ? f32ToF16(laid) : laid }];
}

/** Numbers that look like a trained weight's: norms near one, the others small; the same for the same name. */
export function inventedWeights({ key, shape }: WeightDeclaration): Float32Array {
  const width = shape.length === 1 ? 1 : shape.slice(1).reduce((a, b) => a * b, 1);
  const isNorm = /norm\w*\.weight$/.test(key);
  let state = new TextEncoder().encode(key).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const uniform = state / 2 ** 31 - 1;
    return isNorm ? 1 + uniform / 4 : (uniform * 1.7) / Math.sqrt(shape.length === 1 ? 100 : width);
  });
}

function transposed(values: Float32Array, [rows = 1, columns = 1]: readonly number[]) {
  return Float32Array.from(
    values,
    (_, at) => values[(at % rows) * columns + Math.floor(at / rows)] ?? 0,
  );
}
