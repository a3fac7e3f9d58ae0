// Damaged indexes of sharded checkpoints: file names that leave the folder, shards that are not there.
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { damageJson } from "../../support/damage-json.ts";
import { safetensorsFile, textFile, weights } from "../../support/tiny-checkpoint.ts";
import { pick, sourceOf } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim, orRefused } from "../typed.ts";

const tensor = (seed: number) => ({ dtype: "F32", shape: [4], values: weights(4, seed) }) as const;
const SHARDS = {
  "model-00001-of-00002.safetensors": safetensorsFile({ a: tensor(1), b: tensor(2) }),
  "model-00002-of-00002.safetensors": safetensorsFile({ c: tensor(3) }),
};
const [FIRST, SECOND] = Object.keys(SHARDS);
const INDEX = { metadata: { total_size: 48 }, weight_map: { a: FIRST, b: FIRST, c: SECOND } };
const PATHS = [
  "../model.safetensors",
  "/etc/passwd.safetensors",
  "https://other.example/a.safetensors",
  "a\\b.safetensors",
  "./model.safetensors",
  "%2e%2e/a.safetensors",
  "a/../../b.safetensors",
  "model.safetensors\0",
  "javascript:alert(1).safetensors",
  `${"a/".repeat(500)}b.safetensors`,
];

async function readOne(seed: number): Promise<void> {
  const hostile = { ...INDEX, weight_map: { ...INDEX.weight_map, b: pick(PATHS, seed) } };
  const json = seed % 3 === 0 ? hostile : damageJson(INDEX, seed);
  const text = textFile(JSON.stringify(json) ?? "");
  const index = seed % 3 === 2 ? damageBytes(text, draw(byteDamage, seed)) : text;
  const source = sourceOf({ ...SHARDS, "model.safetensors.index.json": index });
  const checkpoint = await orRefused(["checkpoint-invalid", "download-failed"], () =>
    openCheckpoint(source),
  );
  for (const { file } of checkpoint?.tensors.values() ?? []) {
    claim(file === FIRST || file === SECOND, `a tensor is read from ${JSON.stringify(file)}`);
  }
  claim(!checkpoint || seed % 3 !== 0, `${pick(PATHS, seed)} was taken for a file of the folder`);
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-index",
  what: "mutated indexes of sharded checkpoints",
  count: 10_000,
  slice: 300,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 polluted prototypes",
  run: (count, seed) => runFuzz({ count, seed }, readOne),
};
