// Proves that files that are read in stretches are, as a whole, those that their host says they are: every byte of
// them passes here once, in order, and is hashed. Parts that nobody needs are read for that alone.
//
// An import that was stopped goes on in the middle of a file. What it reads again there has been turned into stored
// bytes before, so it has to be the same again: the hash's state must come out as it was.
import { createSHA1, createSHA256 } from "hash-wasm";
import { assert, present } from "../base/assert.ts";
import type { ModelError } from "../base/errors.ts";
import type { Checkpoint, ReadStretch } from "./checkpoint.ts";
import { downloadFailed } from "./download-error.ts";
import { fromHex, toHex } from "./hash.ts";
import type { RangeRequest } from "./read-ahead.ts";
import { REQUEST_BYTES } from "./read-ahead.ts";
import type { WeightRecipe } from "./recipe.ts";
import type { PublishedFile, ReadOptions } from "./source.ts";
import type { HashState, ProofMarks } from "./stored-rows.ts";

/** A file is read whole to be proved, unless more than this share of it would be read for nothing else. */
const MOST_UNUSED = 0.5;

type Hasher = Awaited<ReturnType<typeof createSHA256>>;
type Hashers = Readonly<Record<PublishedFile["kind"], Hasher>>;

/** A file that can be proved. */
interface ProvableFile extends PublishedFile {
  /** For messages. */
  readonly address: string;
  /** What was believed of it before: its headers. */
  readonly believed: readonly ReadStretch[];
}

/** Files that can be proved, by {@link placeOf}. */
export type ProvableFiles = ReadonlyMap<string, ProvableFile>;

/**
 * Asks the hosts of some weights what their files are.
 *
 * @param checkpoints - by companion id; "" is the model's own
 * @returns those whose hash is known, of which enough is used, and no byte twice
 */
export async function findProvableFiles(
  recipes: readonly WeightRecipe[],
  checkpoints: Readonly<Record<string, Checkpoint>>,
  options: ReadOptions = {},
): Promise<ProvableFiles> {
  const files = new Map<string, ProvableFile>();
  for (const [place, uses] of usesOf(recipes)) {
    const { companion, file } = present(uses[0], "recipe");
    const { source, believed } = present(checkpoints[companion], "checkpoint");
    const published = await source.published(file, options);
    const bytes = uses.reduce((sum, { start, end }) => sum + end - start, 0);
    const isWorthIt = published && bytes >= published.bytes * (1 - MOST_UNUSED);
    if (!isWorthIt || isReadTwice(uses)) continue;
    const ofFile = believed.filter((stretch) => stretch.file === file);
    files.set(place, { ...published, address: `${source.id}/${file}`, believed: ofFile });
  }
  return files;
}

function usesOf(recipes: readonly WeightRecipe[]): Map<string, WeightRecipe[]> {
  const uses = new Map<string, WeightRecipe[]>();
  for (const recipe of recipes) {
    const list = uses.get(placeOf(recipe)) ?? [];
    list.push(recipe);
    uses.set(placeOf(recipe), list);
  }
  return uses;
}

// What comes a second time is not hashed again, and might be something else.
function isReadTwice(uses: readonly WeightRecipe[]): boolean {
  return uses.some(({ start }, index) => start < (uses[index - 1]?.end ?? 0));
}

/** Tells builds of the hasher apart: one cannot go on from another's states. */
export async function hasherBuild(): Promise<string> {
  return toHex((await createSHA256()).init().save());
}

/** Hashes what is read. One for each import. */
export class ReadingProof {
  readonly #files: ProvableFiles;
  readonly #hashers: Hashers;
  /** The file that is being read, and how far it is. */
  #open: { readonly companion: string; readonly file: string; position: number } | undefined;
  /** State at the beginning of the job that runs. */
  #mark: HashState | undefined;
  /** What has to come out again. */
  #expected: HashState | undefined;

  private constructor(files: ProvableFiles, hashers: Hashers) {
    this.#files = files;
    this.#hashers = hashers;
  }

  /**
   * @param marks - those of an import that is resumed
   * @param first - the first stretch that will be read; undefined when all were
   * @returns undefined where there is nothing to prove
   */
  static async start(
    files: ProvableFiles,
    marks: ProofMarks = {},
    first?: Pick<WeightRecipe, "companion" | "file" | "start">,
  ): Promise<ReadingProof | undefined> {
    if (files.size === 0) return undefined;
    const hashers = { sha256: await createSHA256(), git: await createSHA1() };
    const proof = new ReadingProof(files, hashers);
    const { before, after } = marks;
    const isOf = (mark: HashState | undefined): boolean =>
      first !== undefined && mark !== undefined && placeOf(first) === placeOf(mark);
    // The last job is done again where its bytes go on in the next shard.
    const isAgain = isOf(after) && (first?.start ?? 0) < (after?.position ?? 0);
    if (isAgain) proof.#expected = after;
    // Where there is no state behind that job, all that it had read was proved.
    if (after && !isAgain) proof.#restore(after);
    else if (isOf(before)) proof.#restore(before);
    return proof;
  }

  /** The requests, and others between them, so that every byte of the files is read. */
  complete(requests: readonly RangeRequest[]): RangeRequest[] {
    const all: RangeRequest[] = [];
    let open = this.#open && { ...this.#open };
    const readTo = (end: number): void => {
      if (!open) return;
      const { companion, file } = open;
      for (; open.position < end; open.position = Math.min(end, open.position + REQUEST_BYTES)) {
        const start = open.position;
        const stop = Math.min(end, start + REQUEST_BYTES);
        all.push({ companion, file, start, end: stop, slices: [] });
      }
    };
    const finish = (): void => readTo(open ? (this.#files.get(placeOf(open))?.bytes ?? 0) : 0);
    for (const request of requests) {
      if (open && placeOf(open) !== placeOf(request)) {
        finish();
        open = undefined;
      }
      if (this.#files.has(placeOf(request))) {
        const { companion, file } = request;
        open ??= { companion, file, position: 0 };
        readTo(request.start);
        open.position = Math.max(open.position, request.end);
      }
      all.push(request);
    }
    finish();
    return all;
  }

  /**
   * Takes what was read of a request so far.
   *
   * @param bytes - from the request's start on
   * @throws ModelError download-failed, reason "damaged"
   */
  take({ companion, file, start }: RangeRequest, bytes: Uint8Array): void {
    const published = this.#files.get(placeOf({ companion, file }));
    if (!published) return;
    if (!this.#open) {
      this.#open = { companion, file, position: 0 };
      const hasher = this.#hashers[published.kind].init();
      if (published.kind === "git") hasher.update(`blob ${published.bytes}\0`);
    }
    const open = this.#open;
    assert(
      placeOf(open) === placeOf({ companion, file }) && start <= open.position,
      "read in order",
    );
    const end = start + bytes.length;
    const again = this.#expected;
    if (again && open.position < again.position && end > again.position) {
      this.#hash(published, start, bytes.subarray(0, again.position - start));
    }
    this.#hash(published, start, bytes);
    if (open.position < published.bytes) return;
    const { bytes: size, kind, hash } = published;
    const isRight = open.position === size && this.#hashers[kind].digest() === hash;
    if (!isRight) throw damaged(published, `its hash is not ${hash}`);
    this.#open = undefined;
  }

  /** Says that a job begins: what is read from now on is read again when it is stopped. */
  beginJob(): void {
    this.#mark = this.#state();
  }

  /** What a journal has to keep so that the proof can go on. */
  marks(): ProofMarks {
    const after = this.#state();
    return { ...(this.#mark && { before: this.#mark }), ...(after && { after }) };
  }

  // Hashes what of `bytes` was not hashed before.
  #hash(published: ProvableFile, start: number, bytes: Uint8Array): void {
    const open = present(this.#open, "open file");
    const fresh = bytes.subarray(Math.max(0, open.position - start));
    if (fresh.length === 0) return;
    for (const stretch of published.believed) {
      if (isOther(stretch, open.position, fresh)) {
        throw damaged(published, "its header is another one than before");
      }
    }
    const hasher = this.#hashers[published.kind];
    hasher.update(fresh);
    open.position += fresh.length;
    if (this.#expected?.position !== open.position) return;
    const { state } = this.#expected;
    this.#expected = undefined;
    if (toHex(hasher.save()) !== state)
      throw damaged(published, "it is another one than before the import was stopped");
  }

  #state(): HashState | undefined {
    const published = this.#open && this.#files.get(placeOf(this.#open));
    return (
      this.#open &&
      published && { ...this.#open, state: toHex(this.#hashers[published.kind].save()) }
    );
  }

  #restore(known: HashState | undefined): void {
    if (!known) return;
    const { companion, file, position, state } = known;
    this.#hashers[present(this.#files.get(placeOf(known)), "file").kind].load(fromHex(state));
    this.#open = { companion, file, position };
  }
}

function placeOf({ companion, file }: Pick<WeightRecipe, "companion" | "file">): string {
  return `${companion}:${file}`;
}

// Whether what was read before differs from what is read now, where both overlap.
function isOther({ start, bytes }: ReadStretch, at: number, now: Uint8Array): boolean {
  const from = Math.max(start, at);
  const to = Math.min(start + bytes.length, at + now.length);
  for (let position = from; position < to; position++) {
    if (bytes[position - start] !== now[position - at]) return true;
  }
  return false;
}

function damaged({ address }: ProvableFile, what: string): ModelError {
  const seen = `What arrived is not the file that was published: ${what}`;
  return downloadFailed({ reason: "damaged", url: address, status: 200, seen });
}
