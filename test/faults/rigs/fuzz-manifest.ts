// Damaged manifests of our own: published ones beside converted shards, and rows of the store that somebody else
// wrote. One that is taken must be readable to its end, or say which shard is wrong.
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { parseManifest } from "../../../src/weights/manifest.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import {
  installPacked,
  packedFolder,
  packedShard,
  packManifest,
  readPackedManifest,
} from "../../../src/weights/packed-model.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { damageJson } from "../../support/damage-json.ts";
import { setRow } from "../../support/set-row.ts";
import { declare, safetensorsFile, textFile, weights } from "../../support/tiny-checkpoint.ts";
import { sourceOf } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim, orRefused } from "../typed.ts";

const FOLDER = packedFolder("q4");
const REFUSALS = ["checkpoint-invalid", "download-failed", "weights-corrupt"] as const;

interface Subject {
  readonly manifest: Manifest;
  readonly rows: readonly (readonly [string, unknown])[];
  readonly published: string;
  readonly files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
}

async function makeSubject(): Promise<Subject> {
  const rows = memoryKeyValue();
  const store = new WeightStore(rows, "memory");
  const values = { dtype: "F32", shape: [16, 32], values: weights(512, 1) } as const;
  const source = sourceOf({ "model.safetensors": safetensorsFile({ a: values, b: values }) });
  const manifest = await importCheckpoint({
    key: "k",
    checkpoint: await openCheckpoint(source),
    declarations: [declare("a", [16, 32], "linear"), declare("b", [16, 32], "plain")],
    quantization: "q4",
    family: "tiny",
    files: { "config.json": '{"a":1}' },
    store,
    shardBytes: 512,
  });
  const files: Record<string, Uint8Array<ArrayBuffer>> = { "config.json": textFile('{"a":1}') };
  for (const shard of manifest.shards) files[packedShard(FOLDER, shard)] = await store.get(shard);
  const keys = await rows.keys();
  const all = await Promise.all(keys.map(async (key) => [key, await rows.get(key)] as const));
  return { manifest, rows: all, published: await packManifest(manifest), files };
}

async function readAll(store: WeightStore, manifest: Manifest): Promise<void> {
  let bytes = 0;
  for await (const part of readTensors(store, manifest)) bytes += part.bytes.length;
  claim(bytes === manifest.totalBytes, `${bytes} bytes were read of ${manifest.totalBytes}`);
}

async function readPublished({ published, files }: Subject, seed: number): Promise<void> {
  const text = seed % 4 > 0 ? JSON.stringify(damageJson(JSON.parse(published), seed)) : published;
  const whole = textFile(text ?? "");
  const bytes = seed % 4 === 0 ? damageBytes(whole, draw(byteDamage, seed)) : whole;
  const source = sourceOf({ ...files, [`${FOLDER}/manifest.json`]: bytes });
  await orRefused(REFUSALS, async () => {
    const manifest = await readPackedManifest(source, { key: "k", quantization: "q4" });
    const store = new WeightStore(memoryKeyValue(), "memory");
    await installPacked({ manifest, source, store });
    await readAll(store, manifest);
  });
}

async function readStored({ manifest, rows }: Subject, seed: number): Promise<void> {
  const store = new WeightStore(memoryKeyValue(rows), "memory");
  const row = damageJson(manifest, seed);
  // As if whoever wrote it had the hash right, too.
  const taken = parseManifest(row);
  if (taken) await orRefused(REFUSALS, () => readAll(store, taken));
  const spoilt = memoryKeyValue(rows);
  await setRow(spoilt, "manifest:k", row);
  const found = await new WeightStore(spoilt, "memory").readManifest("k");
  const isSame = JSON.stringify(found) === JSON.stringify(manifest);
  claim(found === undefined || isSame, "a manifest that somebody else changed was taken");
}

async function run(count: number, seed: number): Promise<RigResult> {
  const subject = await makeSubject();
  const read = (one: number): Promise<void> =>
    one % 2 === 0 ? readPublished(subject, one >> 1) : readStored(subject, one >> 1);
  return runFuzz({ count, seed }, read);
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-manifest",
  what: "mutated manifests, published and stored",
  count: 10_000,
  slice: 300,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 changed rows taken",
  run,
};
