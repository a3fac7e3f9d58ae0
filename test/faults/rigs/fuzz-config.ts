// Damaged side files of every family's checkpoints, through all that reads them before a byte of weights is
// fetched: JSON, the family, its configuration, the weights that it would declare.
import { parseFiles } from "../../../src/engine/checkpoint-files.ts";
import { detectFamily, familyById, familyIds } from "../../../src/models/registry.ts";
import { readdirSync } from "node:fs";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { createFileSource } from "../../../src/weights/file-source.ts";
import { damageJson } from "../../support/damage-json.ts";
import { folderFiles } from "../../support/folder-files.ts";
import { pick, sideFileTexts } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { orRefused } from "../typed.ts";

const GOLDEN = new URL("../../golden/", import.meta.url);
const CHECKPOINTS = [...sideFileTexts()];
const tensorNames = new Map<string, ReadonlySet<string>>();

// What a family finds in the weights beside its configuration.
async function namesOf(checkpoint: string): Promise<ReadonlySet<string>> {
  const known = tensorNames.get(checkpoint);
  if (known) return known;
  const folder = new URL(`${checkpoint}/`, GOLDEN);
  const hasWeights = readdirSync(folder).some((name) => name.includes(".safetensors"));
  const files = folderFiles(folder).map((file) => [file.webkitRelativePath, file] as const);
  const inside = new Map(files.map(([path, file]) => [path.replace("checkpoint/", ""), file]));
  const names = hasWeights
    ? new Set((await openCheckpoint(createFileSource({ name: "c", files: inside }))).tensors.keys())
    : new Set<string>();
  tensorNames.set(checkpoint, names);
  return names;
}

function damaged(text: string, seed: number): string {
  if (seed % 5 > 0) return JSON.stringify(damageJson(JSON.parse(text), seed)) ?? "";
  const bytes = damageBytes(new TextEncoder().encode(text), draw(byteDamage, seed));
  return new TextDecoder().decode(bytes);
}

async function readOne(seed: number): Promise<void> {
  const [checkpoint, files] = pick(CHECKPOINTS, seed);
  const names = await namesOf(checkpoint);
  // The tokenizer has a rig of its own; three times of four it is config.json that is damaged.
  const others = Object.keys(files).filter((path) => path !== "tokenizer.json");
  const path = seed % 4 > 0 ? "config.json" : pick(others, seed >> 2);
  const texts = { ...files, [path]: damaged(files[path] ?? "{}", seed) };
  await orRefused(["checkpoint-invalid", "unsupported-model"], async () => {
    const parsed = parseFiles(texts);
    const family = await detectFamily(parsed["config.json"]);
    const config = family.parse(parsed, names);
    family.capabilities(config);
    family.declareWeights(config, "q4");
  });
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-config",
  what: "mutated configurations of every family",
  count: 10_000,
  slice: 300,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 polluted prototypes",
  run: async (count, seed) => {
    // Their code is loaded when they are first met.
    for (const id of familyIds()) await familyById(id);
    return runFuzz({ count, seed }, readOne);
  },
};
