// A model of 40 shards is stored beside another one, and the database fails at operation k, for every k and in
// every way: no room, an accident before or after the commit, the page killed before or after it. Nothing that was
// acknowledged is lost, the other model stays whole, and the next import ends as if nothing had happened.
import { ModelError } from "../../../src/base/errors.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest, ShardRef } from "../../../src/weights/manifest.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import type { CheckpointSource } from "../../../src/weights/source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { declare, safetensorsFile, weights } from "../../support/tiny-checkpoint.ts";
import { sourceOf } from "../corpus.ts";
import type { Failure, Rig, RigResult } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import { claim } from "../typed.ts";

const SHARDS = 40;
const SHAPE = [64, 96] as const;
const NAMES = ["a", "b", "c", "d"];
/** Four q4 matrices of 64 x 96: 13824 bytes. */
const SHARD_BYTES = Math.ceil(13_824 / SHARDS);

/** How an operation ends. Those that kill leave the import without an answer, as a page that is gone does. */
const WAYS = ["full", "accident", "lost answer", "killed before", "killed after"] as const;
type Way = (typeof WAYS)[number];

interface Subject {
  readonly source: CheckpointSource;
  readonly expected: Manifest;
  /** The database with the other model in it. */
  readonly rows: readonly (readonly [string, unknown])[];
  readonly other: Manifest;
  readonly operations: number;
}

async function makeSubject(): Promise<Subject> {
  const [source, otherSource] = [sourceOf(checkpoint(1)), sourceOf(checkpoint(9))];
  const other = memoryKeyValue();
  const otherModel = await store(otherSource, new WeightStore(other, "memory"), "other");
  const keys = await other.keys();
  const rows = await Promise.all(keys.map(async (key) => [key, await other.get(key)] as const));
  const counted = failingAt(memoryKeyValue(rows), Infinity, "full");
  const expected = await store(source, new WeightStore(counted.rows, "memory"));
  claim(expected.shards.length >= SHARDS, `the model has ${expected.shards.length} shards`);
  return { source, expected, rows, other: otherModel, operations: counted.operations() };
}

function checkpoint(seed: number): Record<string, Uint8Array<ArrayBuffer>> {
  const tensors = NAMES.map((name, index) => {
    const values = weights(SHAPE[0] * SHAPE[1], seed + index);
    return [name, { dtype: "BF16", shape: SHAPE, values }] as const;
  });
  return { "model.safetensors": safetensorsFile(Object.fromEntries(tensors)) };
}

async function store(source: CheckpointSource, to: WeightStore, key = "k"): Promise<Manifest> {
  return importCheckpoint({
    key,
    checkpoint: await openCheckpoint(source),
    declarations: NAMES.map((name) => declare(name, SHAPE, "linear")),
    quantization: "q4",
    family: "tiny",
    files: {},
    store: to,
    shardBytes: SHARD_BYTES,
  });
}

const NEVER = new Promise<never>(() => undefined);
const KILLED = Symbol("killed");

// The operations of the database, one of which fails.
function failingAt(rows: KeyValue, k: number, way: Way) {
  let operations = 0;
  let kill = (): void => undefined;
  const killed = new Promise<symbol>((resolve) => (kill = () => resolve(KILLED)));
  const die = (): Promise<never> => {
    kill();
    return NEVER;
  };
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    if (operations++ !== k) return work();
    if (way === "full") throw new DOMException("", "QuotaExceededError");
    if (way === "accident") throw new DOMException("", "UnknownError");
    if (way === "killed before") return die();
    await work();
    if (way === "killed after") return die();
    throw new DOMException("", "UnknownError");
  };
  const failing: KeyValue = {
    get: (key) => around(() => rows.get(key)),
    keys: () => around(() => rows.keys()),
    change: (decide) => around(() => rows.change(decide)),
  };
  return { rows: failing, operations: () => operations, killed };
}

async function failOnce(subject: Subject, k: number, way: Way): Promise<void> {
  const { source, expected, other } = subject;
  const rows = memoryKeyValue(subject.rows);
  const failing = failingAt(rows, k, way);
  const outcome = await Promise.race([
    store(source, new WeightStore(failing.rows, "memory")).catch((error: unknown) => error),
    failing.killed,
  ]);
  if (outcome instanceof Error) {
    claim(ModelError.isModelError(outcome), `untyped: ${String(outcome)}`);
    const code =
      way === "full" ? ["quota-exceeded", "storage-unavailable"] : ["storage-unavailable"];
    claim(code.includes((outcome as ModelError).code), (outcome as ModelError).code);
  }
  const after = new WeightStore(rows, "memory");
  const journal = await after.readJournal("k");
  for (const shard of journal?.shards ?? []) await after.get(shard);
  await after.removeOrphans();
  for (const shard of journal?.shards ?? []) await after.get(shard);
  await readAll(after, other);
  const { shards } = await store(source, after);
  claim(same(shards, expected.shards), "the next import ended with other shards");
  await readAll(after, expected);
  await after.remove("other");
  await readAll(after, expected);
}

async function readAll(from: WeightStore, manifest: Manifest): Promise<void> {
  const found = await from.readManifest(manifest.key);
  claim(same(found?.shards ?? [], manifest.shards), `"${manifest.key}" is not installed any more`);
  for await (const part of readTensors(from, manifest)) void part;
}

function same(a: readonly ShardRef[], b: readonly ShardRef[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

// The seed is k and the way: every one of them, whatever the count, unless one is asked for.
async function run(count: number, seed: number): Promise<RigResult> {
  const subject = await makeSubject();
  const all = subject.operations * WAYS.length;
  const step = count >= all || count === 1 ? 1 : Math.ceil(all / count);
  const failures: Failure[] = [];
  let runs = 0;
  for (let one = seed; one < seed + (count === 1 ? 1 : all); one += step) {
    const result = await runSeeds({ count: 1, seed: one }, (value) => {
      const way = WAYS[value % WAYS.length] ?? "full";
      return failOnce(subject, Math.floor(value / WAYS.length) % subject.operations, way);
    });
    failures.push(...result.failures);
    runs++;
  }
  const seen = `${subject.operations} operations, ${WAYS.length} ways, ${subject.expected.shards.length} shards`;
  return { runs, failures, seen };
}

/** See the top of the file. */
export const rig: Rig = {
  name: "every-operation",
  what: "no room, accidents and kills at operation k, every k",
  count: 1_000,
  slice: 60,
  allowed: "0 lost, all typed",
  run,
};
