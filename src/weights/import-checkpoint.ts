// The loader's loop: fetch some rows -> convert -> quantize -> shard -> store. One tensor in memory at a
// time, large ones in slices; what is stored is kept when the loop is stopped, and found again.
import { assert } from "../base/assert.ts";
import type { Quantization } from "../base/dtype.ts";
import { fail } from "../base/errors.ts";
import type { ModelError } from "../base/errors.ts";
import type { LoadProgress } from "../base/events.ts";
import type { WeightDeclaration } from "../base/weight-declaration.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { convertJob } from "./convert-job.ts";
import { reasonOf } from "./download-error.ts";
import { sha256 } from "./hash.ts";
import { install, journalledSink, storedShards } from "./journal.ts";
import type { Job, Layout } from "./layout.ts";
import { layOut, SHARD_BYTES, shardLength } from "./layout.ts";
import type { Manifest, Provenance, ShardRef } from "./manifest.ts";
import { MANIFEST_VERSION } from "./manifest.ts";
import { createPace } from "./pace.ts";
import { planRequests, readSlices } from "./read-ahead.ts";
import type { ReadAheadOptions } from "./read-ahead.ts";
import { findProvableFiles, hasherBuild, ReadingProof } from "./reading-proof.ts";
import type { ProvableFiles } from "./reading-proof.ts";
import type { WeightRecipe } from "./recipe.ts";
import { findWeights } from "./recipe.ts";
import { ShardWriter } from "./shard-writer.ts";
import type { ShardSink } from "./shard-writer.ts";
import type { CheckpointSource } from "./source.ts";
import type { Journal } from "./stored-rows.ts";
import type { WeightStore } from "./weight-store.ts";

/** What to import, and where to. */
export interface ImportRequest {
  /** {@link manifestKey} of what the user asked for. */
  readonly key: string;
  readonly checkpoint: Checkpoint;
  /** Opened companions by id. */
  readonly companions?: Readonly<Record<string, Checkpoint>>;
  readonly declarations: readonly WeightDeclaration[];
  readonly quantization: Quantization;
  /** Id of the family that declared the weights. */
  readonly family: string;
  /** Side files to keep, as text by path; a companion's under `<companion>/`. */
  readonly files: Readonly<Record<string, string>>;
  readonly store: WeightStore;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Smaller in tests. */
  readonly shardBytes?: number;
}

/** What to make again. */
export interface RepairRequest {
  readonly manifest: Manifest;
  /** `details.shards` of the `weights-corrupt` error. */
  readonly hashes: readonly string[];
  /** The source at the manifest's revision, and those of the companions at theirs; "" is the model's own. */
  readonly sources: Readonly<Record<string, CheckpointSource>>;
  readonly store: WeightStore;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/**
 * Imports a checkpoint into the store.
 *
 * An import that was stopped goes on after its last stored shard, if the checkpoint is still the same.
 *
 * @throws ModelError checkpoint-invalid | download-failed | quota-exceeded | storage-unavailable, and the
 * signal's own reason
 */
export async function importCheckpoint(request: ImportRequest): Promise<Manifest> {
  const { checkpoint, companions = {}, declarations, quantization, key, store, signal } = request;
  const recipes = findWeights(declarations, quantization, checkpoint, companions);
  const layout = layOut(recipes, request.shardBytes ?? SHARD_BYTES);
  const checkpoints = { ...companions, "": checkpoint };
  const provable = await findProvableFiles(recipes, checkpoints, signal ? { signal } : {});
  const plan = await planHash(recipes, layout, checkpoints, provable);
  const mayBe = ({ bytes }: ShardRef, index: number): boolean =>
    index < layout.shardCount && bytes === shardLength(layout, index);
  const resumed = await storedShards(store, key, plan, mayBe);
  const { shards } = resumed;
  const first = shards.length;
  const isWanted = (shard: number): boolean => shard >= first;
  const [next] = jobsFor(layout, isWanted);
  const proof = await ReadingProof.start(provable, resumed.proof, next && firstRead(next));
  const put = journalledSink(store, {
    key,
    plan,
    shards,
    totalBytes: layout.totalBytes,
    proof: () => proof?.marks(),
  });
  const sink: ShardSink = async (shard, bytes) => {
    assert(shard === shards.length, `shard ${shard} follows ${shards.length}`);
    signal?.throwIfAborted();
    await put(shard, bytes);
  };
  const sources = sourcesOf(checkpoints);
  const run = runJobs({ ...request, layout, sources, isWanted, sink, proof });
  await run.catch(async (error: unknown) => {
    // Which of the stored bytes are wrong is not known.
    if (reasonOf(error) === "damaged") await store.writeJournal(key, noJournal());
    throw error;
  });
  const manifest = manifestOf(request, recipes, layout, shards);
  const again = (hashes: readonly string[]): Promise<void> =>
    repairShards({ ...request, manifest, hashes, sources });
  await install(store, manifest, plan, again);
  return manifest;
}

/**
 * Makes damaged or missing shards of an installed model again from its source, and stores them.
 *
 * @throws ModelError weights-corrupt when the source no longer gives the same bytes: delete the model and
 * load it again
 */
export async function repairShards(request: RepairRequest): Promise<void> {
  const { manifest, hashes, store } = request;
  const layout = layOut(manifest.recipes, manifest.shardBytes);
  const damaged = new Set(hashes);
  const isWanted = (shard: number): boolean => damaged.has(manifest.shards[shard]?.hash ?? "");
  const sink: ShardSink = async (shard, bytes) => {
    const hash = await sha256(bytes);
    if (hash !== manifest.shards[shard]?.hash) throw sourceChanged(manifest);
    await store.put(bytes, { replace: true });
  };
  await runJobs({ ...request, layout, isWanted, sink });
}

type Inspect = NonNullable<ReadAheadOptions["inspect"]>;

interface Run {
  readonly layout: Layout;
  readonly sources: Readonly<Record<string, CheckpointSource>>;
  readonly isWanted: (shard: number) => boolean;
  readonly sink: ShardSink;
  readonly proof?: ReadingProof | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

// Runs the jobs that touch a wanted shard.
async function runJobs(run: Run): Promise<void> {
  const { layout, sources, isWanted, sink, proof, signal, onProgress } = run;
  const jobs = jobsFor(layout, isWanted);
  const planned = planRequests(jobs);
  const requests = proof?.complete(planned) ?? planned;
  const bytes = requests.reduce((sum, { start, end }) => sum + end - start, 0);
  const pace = createPace({ phase: "download", totalBytes: bytes, onProgress });
  const onBytes = (count: number, file: string): void => pace.add(count, file);
  const inspect: Inspect = (request, content) => proof?.take(request, content);
  const slices = readSlices(requests, { sources, signal, onBytes, inspect });
  const nextSlice = async (): Promise<Uint8Array> => {
    const { value, done } = await slices.next();
    assert(!done, "fewer slices than planned");
    return value;
  };
  const writer = new ShardWriter(layout, isWanted, sink);
  try {
    for (const job of jobs) {
      signal?.throwIfAborted();
      proof?.beginJob();
      let position = job.streamStart;
      for (const part of await convertJob(job, nextSlice)) {
        await writer.write(position, part);
        position += part.length;
      }
      assert(position === job.streamEnd, `${job.recipe.key} has another size than planned`);
    }
    const { done } = await slices.next(); // reads what is only hashed
    assert(done, "more slices than planned");
    pace.finish(jobs.at(-1)?.recipe.file ?? "");
  } finally {
    await slices.return(undefined);
    for (const source of Object.values(sources)) source.close();
  }
}

function jobsFor(layout: Layout, isWanted: (shard: number) => boolean): Job[] {
  return layout.jobs.filter((job) => touches(job, layout.shardBytes, isWanted));
}

function firstRead({ recipe, slices }: Job): WeightRecipe {
  return { ...recipe, start: slices[0]?.start ?? recipe.start };
}

function noJournal(): Journal {
  return { plan: "", shards: [], updatedAt: Date.now() };
}

function touches(
  { streamStart, streamEnd }: Job,
  shardBytes: number,
  isWanted: (shard: number) => boolean,
): boolean {
  const last = Math.floor((streamEnd - 1) / shardBytes);
  for (let shard = Math.floor(streamStart / shardBytes); shard <= last; shard++) {
    if (isWanted(shard)) return true;
  }
  return false;
}

// Hash of everything that decides the stored bytes: what is read, from which version, in which layout.
async function planHash(
  recipes: readonly WeightRecipe[],
  { shardBytes }: Layout,
  checkpoints: Readonly<Record<string, Checkpoint>>,
  provable: ProvableFiles,
): Promise<string> {
  const versions = Object.entries(checkpoints).map(([id, { source, tensors }]) => {
    const files = [...new Set([...tensors.values()].map(({ file }) => file))].toSorted();
    return [id, source.id, source.revision, files.map((file) => [file, source.versionOf(file)])];
  });
  const proved = [...provable].map(([place, file]) => [place, file.hash]);
  const hashes = proved.length === 0 ? [] : [await hasherBuild(), ...proved];
  return sha256(JSON.stringify([MANIFEST_VERSION, shardBytes, versions, recipes, hashes]));
}

function manifestOf(
  { key, checkpoint, companions = {}, family, quantization, files }: ImportRequest,
  recipes: readonly WeightRecipe[],
  { tensors, totalBytes, shardBytes }: Layout,
  shards: readonly ShardRef[],
): Manifest {
  const companionSources = Object.entries(companions).map(
    ([id, companion]) => [id, provenanceOf(companion)] as const,
  );
  return {
    version: MANIFEST_VERSION,
    key,
    ...provenanceOf(checkpoint),
    family,
    quantization,
    companions: Object.fromEntries(companionSources),
    files: { ...files },
    tensors,
    recipes,
    shardBytes,
    shards,
    totalBytes,
    createdAt: Date.now(),
  };
}

function provenanceOf({ source }: Checkpoint): Provenance {
  return { source: source.id, revision: source.revision };
}

function sourcesOf(
  checkpoints: Readonly<Record<string, Checkpoint>>,
): Record<string, CheckpointSource> {
  return Object.fromEntries(Object.entries(checkpoints).map(([id, { source }]) => [id, source]));
}

function sourceChanged({ source }: Manifest): ModelError {
  return fail(
    "weights-corrupt",
    `Stored weights of ${source} are damaged and the source now holds other weights. Delete the model and load it again.`,
    { source },
  );
}
