// The tensors of a checkpoint folder on disk, as a graph's weights: no importer, no store.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { WeightDeclaration } from "../../src/base/weight-declaration.ts";
import { decodeFloats, type FloatDType } from "../../src/weights/quantize.ts";
import type { WeightValues } from "./store-weight.ts";

interface Entry {
  readonly dtype: FloatDType;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/** Looks up weights in every safetensors file of the folder, those of companion `vae` in its folder `vae/`. */
export function checkpointWeights(folder: URL): WeightValues {
  const own = readTensors(folder);
  const vae = readTensors(new URL("vae/", folder));
  return (weight: WeightDeclaration) => {
    const tensors = weight.companion === "vae" ? vae : own;
    const names = [weight.tensor, ...weight.aliases];
    const found = names.map((name) => tensors.get(name)).find((tensor) => tensor !== undefined);
    if (found === undefined) throw new Error(`${names.join(" / ")} is not in ${folder.href}`);
    const width = found.values.length / (found.shape[0] ?? 1);
    const [start, end] = weight.rows ?? [0, found.shape[0] ?? 1];
    return found.values.subarray(start * width, end * width);
  };
}

function readTensors(folder: URL): Map<string, { shape: number[]; values: Float32Array }> {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  const all = files
    .filter((name) => name.endsWith(".safetensors"))
    .flatMap((name) => {
      const bytes = readFileSync(new URL(name, folder));
      const start = 8 + Number(bytes.readBigUInt64LE(0));
      const header: Record<string, Entry> = JSON.parse(bytes.subarray(8, start).toString());
      delete header["__metadata__"];
      return Object.entries(header).map(([tensor, { dtype, shape, data_offsets }]) => {
        const [from, to] = data_offsets;
        const values = decodeFloats(bytes.subarray(start + from, start + to), dtype);
        return [tensor, { shape, values }] as const;
      });
    });
  return new Map(all);
}
