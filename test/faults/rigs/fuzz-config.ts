// Damaged side files of every family's checkpoints, through all that reads them before a byte of weights is
// fetched (JSON, the family, its configuration, the weights that it would declare, the graphs by which it is
// admitted), and then a small picture through what the configuration makes of pictures.
import { parseFiles } from "../../../src/engine/checkpoint-files.ts";
import { detectFamily, familyById, familyIds } from "../../../src/models/registry.ts";
import { readdirSync } from "node:fs";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { createFileSource } from "../../../src/weights/file-source.ts";
import { damageJson, stretchJson } from "../../support/damage-json.ts";
import { folderFiles } from "../../support/folder-files.ts";
import { seePicture } from "../../support/see-picture.ts";
import { watchAllocations } from "../../support/watch-allocations.ts";
import { pick, sideFileTexts } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import { claim, orRefused } from "../typed.ts";

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

/** Most bytes of one array that a configuration may ask for, before there is a device to ask. */
const MAX_ARRAY_BYTES = 2 ** 28;

/** Longest time of the processor for reading a configuration. */
const SLOW_READING_MS = 1_000;
/** And with its graphs built: a core of 128 layers, which is allowed, takes two seconds, on a busy machine four. */
const SLOW_MS = 6_000;

/** A small picture: whatever becomes large is the configuration's doing. */
const PICTURE = { width: 9, height: 6, data: new Uint8ClampedArray(9 * 6 * 4).fill(200) };

function damaged(text: string, seed: number): string {
  // a damaged file is mostly refused; numbers that are taken get further
  if (seed % 5 > 2) return JSON.stringify(stretchJson(JSON.parse(text), seed)) ?? "";
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
  const started = process.cpuUsage();
  const model = await orRefused(["checkpoint-invalid", "unsupported-model"], async () => {
    const parsed = parseFiles(texts);
    const family = await detectFamily(parsed["config.json"]);
    return { family, config: family.parse(parsed, names) };
  });
  const { user, system } = process.cpuUsage(started);
  const readingMs = (user + system) / 1000;
  claim(readingMs <= SLOW_READING_MS, `reading took ${readingMs} ms of the processor`);
  if (!model) return;
  const { family, config } = model;
  taken++;
  const bytes = watchAllocations(() => {
    family.capabilities(config);
    family.declareWeights(config, "q4");
    family.stageGraphs(config, { float: "f16", quantization: "q4" });
    seePicture(family.id, config, PICTURE);
  });
  claim(bytes <= MAX_ARRAY_BYTES, `${family.id}: an array of ${bytes} bytes`);
}

/** Configurations that were not refused. */
let taken = 0;

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-config",
  what: "mutated configurations of every family",
  count: 10_000,
  slice: 300,
  allowed: "read in 1 s, built in 6 s, 0 untyped errors, 0 arrays > 256 MiB, 0 polluted prototypes",
  run: async (count, seed) => {
    // Their code is loaded when they are first met.
    for (const id of familyIds()) await familyById(id);
    taken = 0;
    const result = await runSeeds({ count, seed, slowMs: SLOW_MS }, readOne);
    return { ...result, seen: `${taken} taken` };
  },
};
