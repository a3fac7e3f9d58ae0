// Rot on disk: shards whose bytes flip, end early, are gone or cannot be read, and rows of other kinds that are.
// No wrong byte is handed out, and a repair brings the very same bytes back.
import { ModelError } from "../../../src/base/errors.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint, repairShards } from "../../../src/weights/import-checkpoint.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import type { CheckpointSource } from "../../../src/weights/source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { damageJson, pseudoRandom } from "../../support/damage-json.ts";
import { setRow } from "../../support/set-row.ts";
import { declare, safetensorsFile, weights } from "../../support/tiny-checkpoint.ts";
import { pick, sourceOf } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import { claim } from "../typed.ts";

const SHAPE = [32, 96] as const;
const NAMES = ["a", "b", "c"];
/** Row kinds, by how often they are hit: what is large rots most. */
const KINDS = ["shard", "shard", "shard", "shard", "index", "manifest", "info"] as const;

interface Subject {
  readonly source: CheckpointSource;
  readonly manifest: Manifest;
  readonly rows: readonly (readonly [string, unknown])[];
  readonly parts: string;
}

async function makeSubject(): Promise<Subject> {
  const tensors = NAMES.map((name, index) => {
    const values = weights(SHAPE[0] * SHAPE[1], index + 1);
    return [name, { dtype: "BF16", shape: SHAPE, values }] as const;
  });
  const source = sourceOf({ "model.safetensors": safetensorsFile(Object.fromEntries(tensors)) });
  const rows = memoryKeyValue();
  const store = new WeightStore(rows, "memory");
  const manifest = await install(source, store);
  const keys = await rows.keys();
  const all = await Promise.all(keys.map(async (key) => [key, await rows.get(key)] as const));
  return { source, manifest, rows: all, parts: await readParts(store, manifest) };
}

async function install(source: CheckpointSource, store: WeightStore): Promise<Manifest> {
  return importCheckpoint({
    key: "k",
    checkpoint: await openCheckpoint(source),
    declarations: NAMES.map((name) => declare(name, SHAPE, "linear")),
    quantization: "q4",
    family: "tiny",
    files: {},
    store,
    shardBytes: 512,
  });
}

async function readParts(store: WeightStore, manifest: Manifest): Promise<string> {
  const parts: string[] = [];
  for await (const { name, bytes } of readTensors(store, manifest)) {
    parts.push(`${name} ${Buffer.from(bytes).toString("base64")}`);
  }
  return parts.join("\n");
}

async function damageRow(rows: KeyValue, seed: number): Promise<void> {
  const random = pseudoRandom(seed);
  const kind = pick(KINDS, random(1000));
  const keys = (await rows.keys()).filter((key) => key.startsWith(`${kind}:`));
  const key = pick(keys, random(10_000));
  const value = await rows.get(key);
  if (random(8) === 0) return setRow(rows, key, undefined);
  if (!(value instanceof Blob)) return setRow(rows, key, damageJson(value, seed));
  if (random(8) === 0) return setRow(rows, key, lostFile(value));
  const bytes = await value.arrayBuffer().then(
    (buffer) => new Uint8Array(buffer),
    () => undefined, // lost already
  );
  if (!bytes) return;
  return setRow(rows, key, new Blob([damageBytes(bytes, draw(byteDamage, seed))]));
}

// A row whose file the browser lost.
function lostFile(blob: Blob): Blob {
  const lost = blob.slice();
  lost.arrayBuffer = () => Promise.reject(new DOMException("", "NotReadableError"));
  return lost;
}

async function damageAndRead(subject: Subject, seed: number): Promise<void> {
  const rows = memoryKeyValue(subject.rows);
  const places = 1 + (seed % 3);
  for (let place = 0; place < places; place++) await damageRow(rows, seed * 3 + place);
  const store = new WeightStore(rows, "memory");
  // A manifest that is damaged is not installed; then the model is stored again.
  const found = await store.readManifest("k");
  const manifest = found ?? (await install(subject.source, store));
  claim(
    JSON.stringify(manifest.shards) === JSON.stringify(subject.manifest.shards),
    "other shards",
  );
  claim(
    (await readRepaired(subject, store, manifest)) === subject.parts,
    "wrong bytes were handed out",
  );
}

// What a client does: read, repair what is reported, read again.
async function readRepaired(
  subject: Subject,
  store: WeightStore,
  manifest: Manifest,
): Promise<string> {
  for (;;) {
    try {
      return await readParts(store, manifest);
    } catch (error) {
      if (!ModelError.isModelError(error) || error.code !== "weights-corrupt") throw error;
      const { shards: hashes } = error.details;
      if (!Array.isArray(hashes) || hashes.length === 0) throw error;
      await repairShards({ manifest, hashes, sources: { "": subject.source }, store });
    }
  }
}

async function run(count: number, seed: number): Promise<RigResult> {
  const subject = await makeSubject();
  return runSeeds({ count, seed }, (one) => damageAndRead(subject, one));
}

/** See the top of the file. */
export const rig: Rig = {
  name: "damaged-store",
  what: "byte flips, truncations, missing blobs and rows",
  count: 1_000,
  slice: 60,
  allowed: "0 served, all repaired",
  run,
};
