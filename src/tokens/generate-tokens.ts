// The autoregressive loop. Knows logits, a token to feed back and a decode step; knows nothing about
// text, models or onnxruntime. Sampling happens on the device: ids are read back in batches behind the
// loop, while the next batch is already queued.
import type { Runtime, Tensor } from "../session/runtime.ts";
import { checkPicked, createPicks } from "./picks.ts";

/** A core whose cache is filled: what the loop needs of a language model. */
export interface TokenCore {
  /** f32 [1, 1, rows]: logits of the newest position; filled by the prefill, then by every decode. */
  readonly logits: Tensor;
  /** Ids below this may be picked; the head may have padding rows beyond. */
  readonly vocabularySize: number;
  /** i32 [1, 1]: the picked token that the next decode reads. */
  readonly token: Tensor;
  /** i32, every element: lengths that grow by one with every picked token. */
  readonly advance: readonly Tensor[];
  /** Runs one token through the core; returns when the work is queued. */
  decode(): Promise<void>;
}

/** How tokens are picked and when to stop. */
export interface GenerateTokensOptions {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
  readonly stopIds: ReadonlySet<number>;
  /** u32 [vocabulary]: forbidden and seen bits of every id (session/runtime.ts); written. Absent = none. */
  readonly rules?: Tensor | undefined;
  /** Weakens logits of seen ids; default 1 = not at all. */
  readonly repetitionPenalty?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

// Tokens between two read backs. Four hide one read back behind the next batch's work and cost at most
// seven wasted decodes after a stop token.
const TOKENS_PER_READBACK = 4;

/** Why a loop ended. */
export interface TokensEnd {
  readonly reason: "stop" | "length";
  /** The stop id that was picked. */
  readonly stopId?: number;
}

/**
 * Yields picked ids in order, in batches; a stop id ends the loop and is not yielded.
 *
 * @returns "stop" and the id when a stop id was picked, "length" when maxTokens were
 * @throws the signal's reason, at most one batch after it fires; ModelError numerics when
 * the logits of a token are no numbers or all the same, or when the device has not picked what it was told to
 */
export async function* generateTokens(
  runtime: Runtime,
  core: TokenCore,
  options: GenerateTokensOptions,
): AsyncGenerator<number[], TokensEnd, undefined> {
  const { maxTokens, stopIds, signal } = options;
  const loop = createLoop(runtime, core, options);
  const runsAhead = runtime.backend === "webgpu";
  try {
    let ahead = await loop.launch();
    for (let delivered = 0; delivered < maxTokens;) {
      signal?.throwIfAborted();
      const current = ahead;
      // Work that is computed at once (no GPU) gains nothing from running ahead.
      if (runsAhead) ahead = await loop.launch();
      const ids = (await current.ids).subarray(delivered);
      const stop = ids.findIndex((id) => stopIds.has(id));
      const fresh = stop < 0 ? ids : ids.subarray(0, stop);
      checkPicked(fresh, delivered);
      if (fresh.length > 0) yield [...fresh];
      const stopId = ids[stop];
      if (stopId !== undefined) return { reason: "stop", stopId };
      delivered += ids.length;
      if (!runsAhead) ahead = await loop.launch();
    }
    return { reason: "length" };
  } finally {
    await loop.dispose();
  }
}

/** Ids picked up to and including one batch, on their way back from the device. */
interface Batch {
  readonly ids: Promise<Int32Array>;
}

/** Queues batches of picks and decodes; each launch starts a read of all ids picked so far. */
function createLoop(runtime: Runtime, core: TokenCore, options: GenerateTokensOptions) {
  const { maxTokens, temperature, topK, topP, seed, rules, repetitionPenalty = 1 } = options;
  const picks = createPicks(runtime, maxTokens);
  const { ids, count } = picks;
  const noRules = rules ?? runtime.createTensor("u32", [core.vocabularySize]);
  const pick = runtime.kernels.pickToken({
    logits: core.logits,
    vocabularySize: core.vocabularySize,
    rules: noRules,
    repetitionPenalty,
    token: core.token,
    advance: core.advance,
    ids,
    count,
    temperature,
    topK,
    topP,
    seed,
  });
  const perBatch = runtime.backend === "wasm" ? 1 : TOKENS_PER_READBACK;
  let picked = 0;
  let newest: Batch = { ids: Promise.resolve(new Int32Array(0)) };

  async function launch(): Promise<Batch> {
    const last = Math.min(picked + perBatch, maxTokens);
    if (last === picked) return newest;
    for (; picked < last; picked++) {
      if (picked > 0) await core.decode();
      pick();
    }
    newest = { ids: picks.read(picked) };
    // A loop that ends early leaves this read unobserved; its failure is then nobody's news.
    newest.ids.catch(() => undefined);
    return newest;
  }
  async function dispose(): Promise<void> {
    await newest.ids.catch(() => undefined);
    picks.dispose();
    if (noRules !== rules) noRules.dispose();
  }
  return { launch, dispose };
}
