// Damaged safetensors files: the header's JSON, its length, or any byte.
import { readSafetensors } from "../../../src/weights/safetensors.ts";
import { TENSOR_BYTES } from "../../../src/weights/tensor-entry.ts";
import { damageJson } from "../../support/damage-json.ts";
import { safetensorsFile, weights, withHeader } from "../../support/tiny-checkpoint.ts";
import { sourceOf } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim, orRefused } from "../typed.ts";

const FILE = safetensorsFile({
  "model.embed.weight": { dtype: "F16", shape: [8, 4], values: weights(32, 1) },
  "model.norm.weight": { dtype: "F32", shape: [4], values: weights(4, 2) },
  scalar: { dtype: "F32", shape: [], values: [1] },
  empty: { dtype: "F32", shape: [0, 4], values: [] },
});
const HEADER_BYTES = Number(new DataView(FILE.buffer).getBigUint64(0, true));
const HEADER: unknown = JSON.parse(new TextDecoder().decode(FILE.subarray(8, 8 + HEADER_BYTES)));
const DATA = FILE.subarray(8 + HEADER_BYTES);

function damaged(seed: number): Uint8Array<ArrayBuffer> {
  const isWhole = seed % 3 === 0;
  const file = isWhole ? FILE : withHeader(JSON.stringify(damageJson(HEADER, seed)) ?? "", [DATA]);
  return seed % 3 === 1 ? file : damageBytes(file, draw(byteDamage, seed));
}

async function readOne(seed: number): Promise<void> {
  const bytes = damaged(seed);
  const source = sourceOf({ f: bytes });
  const tensors = await orRefused(["checkpoint-invalid"], () => readSafetensors(source, "f"));
  let end = 0;
  for (const [name, entry] of tensors ?? []) {
    const size = entry.shape.reduce((product, count) => product * count, TENSOR_BYTES[entry.dtype]);
    claim(entry.end - entry.start === size, `"${name}" has another size than its shape`);
    claim(entry.start >= 8 && entry.end <= bytes.length, `"${name}" is outside of the file`);
    end = Math.max(end, entry.end);
  }
  claim(!tensors || tensors.size === 0 || end === bytes.length, "bytes behind the last tensor");
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-safetensors",
  what: "mutated safetensors files",
  count: 10_000,
  slice: 500,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 polluted prototypes",
  run: (count, seed) => runFuzz({ count, seed }, readOne),
};
