// How an import that was stopped goes on: the shards that an earlier attempt at the same plan has stored.
import { assert } from "../base/assert.ts";
import { fail, ModelError } from "../base/errors.ts";
import { parseManifest } from "./manifest.ts";
import type { Manifest, ShardRef } from "./manifest.ts";
import type { ShardSink } from "./shard-writer.ts";
import type { ProofMarks } from "./stored-rows.ts";
import type { WeightStore } from "./weight-store.ts";

/** What an import may go on with. */
export interface Resumed {
  readonly shards: ShardRef[];
  /** Of the last shard, where files are proved. */
  readonly proof?: ProofMarks | undefined;
}

/**
 * Shards of an earlier attempt at exactly this plan, up to the first one that is gone.
 *
 * @param mayBe - whether a shard can be the plan's one of that number: journals rot on disk as any row does
 */
export async function storedShards(
  store: WeightStore,
  key: string,
  plan: string,
  mayBe: (shard: ShardRef, index: number) => boolean,
): Promise<Resumed> {
  const journal = await store.readJournal(key);
  if (journal?.plan !== plan) return { shards: [] };
  const shards: ShardRef[] = [];
  for (const [index, shard] of journal.shards.entries()) {
    if (mayBe(shard, index) && (await store.has(shard.hash))) shards.push(shard);
    // The proof is that of all of them.
    else return { shards: journal.proof ? [] : shards };
  }
  return { shards, proof: journal.proof };
}

/** Attempts to install a model whose shards somebody else deletes meanwhile. */
const INSTALL_ATTEMPTS = 3;

/**
 * Writes the manifest. Shards that another tab has deleted since they were stored are fetched again.
 *
 * @throws ModelError weights-corrupt when they are deleted again and again
 */
export async function install(
  store: WeightStore,
  manifest: Manifest,
  plan: string,
  fetchAgain: (hashes: readonly string[]) => Promise<void>,
): Promise<void> {
  const { key, shards } = manifest;
  assert(parseManifest(manifest), "a manifest that cannot be read again");
  for (let attempt = 1; ; attempt++) {
    try {
      return await store.writeManifest(manifest);
    } catch (error) {
      const missing = missingShards(error);
      if (missing.length === 0 || attempt >= INSTALL_ATTEMPTS) throw error;
      // The journal went with them; without it they would be orphans as they come.
      await store.writeJournal(key, { plan, shards, updatedAt: Date.now() });
      await fetchAgain(missing);
    }
  }
}

function missingShards(error: unknown): readonly string[] {
  if (!ModelError.isModelError(error) || error.code !== "weights-corrupt") return [];
  const { shards } = error.details;
  return Array.isArray(shards) ? shards : [];
}

/** What a {@link journalledSink} writes down. */
export interface JournalEntry {
  readonly key: string;
  readonly plan: string;
  /** Grows with every stored shard. */
  readonly shards: ShardRef[];
  /** Bytes of the whole model, for the message when the disk is full. */
  readonly totalBytes: number;
  /** See {@link Resumed}. */
  readonly proof?: () => ProofMarks | undefined;
}

/** Stores shards in order, each together with the journal that names it. */
export function journalledSink(store: WeightStore, entry: JournalEntry): ShardSink {
  const { key, plan, shards, totalBytes } = entry;
  return async (_, bytes) => {
    const proof = entry.proof?.();
    const kept = { plan, ...(proof && { proof }) };
    const journal = (ref: ShardRef) =>
      [key, { ...kept, shards: [...shards, ref], updatedAt: Date.now() }] as const;
    shards.push(await store.put(bytes, { journal }).catch(withTotals(totalBytes, shards)));
  };
}

// A full disk is only a useful message with the numbers of the whole model.
function withTotals(totalBytes: number, shards: readonly ShardRef[]): (error: unknown) => never {
  return (error) => {
    if (!ModelError.isModelError(error) || error.code !== "quota-exceeded") throw error;
    const storedBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
    const stored = `${mib(storedBytes)} of ${mib(totalBytes)} MiB are stored and will be reused.`;
    const details = { ...error.details, storedBytes, neededBytes: totalBytes - storedBytes };
    throw fail("quota-exceeded", `${error.message} ${stored}`, details, error);
  };
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
