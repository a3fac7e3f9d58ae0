// Pictures drawn as discrete codes, one token at a time: the loop of generate-tokens without text and stops.
// Picking, guidance and feedback stay on the device; at most two tokens are in flight.
import type { Drawing, DrawingOptions, DrawingStep } from "../base/drawing.ts";
import { brokenNumbers } from "../base/numerics.ts";
import type { Pixels } from "../base/pixels.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import type { TokenCore } from "./generate-tokens.ts";
import { checkPicked, createPicks, type Picks } from "./picks.ts";

/** How codes are picked. */
export interface CodeSampling {
  /** 0 = the likeliest. */
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  /** 1 = all. */
  readonly topP: number;
  readonly seed: number;
}

/** What codes are drawn with. */
export interface CodeDrawingParts {
  /** [height, width] of one picture's codes. */
  readonly grid: readonly [number, number];
  readonly sampling: CodeSampling;
  /** As asked for; told to whoever wants to draw the same again. */
  readonly guidance: number;
  /** Fills the cache with the prompt; `core.logits` are those of the first code, guidance included. */
  begin(signal?: AbortSignal): Promise<TokenCore>;
  /** u32 [vocabulary]: bits of ids that must not be picked; absent = all may be. */
  readonly rules?: Tensor;
  /**
   * Ids as they were picked, i32 [height * width] on the device, those not yet picked 0 -> picture.
   * Reads back once.
   */
  decode(ids: Tensor): Promise<Pixels>;
}

/** Codes that may be queued beyond the last one known to be picked. */
const CODES_IN_FLIGHT = 2;

/** A picture of fewer codes may well have one code for all. */
const MIN_VARIED_CODES = 64;

/** A drawing whose steps are image tokens. Keep it for one call: `dispose` frees what it holds. */
export class CodeDrawing implements Drawing {
  readonly steps: number;
  readonly guidance: number;
  readonly latentShape: readonly number[];
  readonly #runtime: Runtime;
  /** What it was made of: tests and benchmarks look at single evaluations. */
  readonly parts: CodeDrawingParts;
  /** Of the newest picture. */
  readonly #picks: Picks;
  /** Its ids alone, as the decoder reads them. */
  readonly #ids: Tensor;
  /** Steps of it whose picks are queued. */
  #queued = 0;

  constructor(runtime: Runtime, parts: CodeDrawingParts) {
    const [height, width] = parts.grid;
    this.steps = height * width;
    this.guidance = parts.guidance;
    this.latentShape = parts.grid;
    this.#runtime = runtime;
    this.parts = parts;
    this.#picks = createPicks(runtime, this.steps);
    this.#ids = runtime.createTensor("i32", [this.steps]);
  }

  async *draw(
    image: number,
    { settleEvery, signal }: DrawingOptions,
  ): AsyncGenerator<DrawingStep, void, undefined> {
    const core = await this.parts.begin(signal);
    const loop = this.#bind(core, image);
    const fences: Promise<void>[] = [];
    let finished = 0;
    try {
      for (let step = 1; step <= this.steps; step++) {
        signal?.throwIfAborted();
        if (step > 1) await core.decode();
        loop.pick();
        this.#queued = step;
        fences.push(this.#runtime.fence());
        const mustSettle = step === this.steps || (settleEvery > 0 && step % settleEvery === 0);
        while (finished < step - (mustSettle ? 0 : CODES_IN_FLIGHT - 1)) {
          await fences[finished];
          finished += 1;
          yield { step: finished, isSettled: finished === step };
        }
      }
      signal?.throwIfAborted();
    } finally {
      loop.dispose();
    }
  }

  /** @throws ModelError numerics when a code so far, or the decoder, is broken: before a picture is made of it */
  async decode(): Promise<Pixels> {
    const { ids, count } = this.#picks;
    this.#runtime.copy(ids, this.#ids, { bytes: this.steps * count.byteLength });
    // Both are queued at once, and waited for together: a code gone wrong is why a picture did.
    const [codes, pixels] = await Promise.allSettled([
      this.#readCodes(),
      this.parts.decode(this.#ids),
    ]);
    if (codes.status === "rejected") throw codes.reason;
    if (pixels.status === "rejected") throw pixels.reason;
    return pixels.value;
  }

  /** @throws ModelError numerics when the logits of a code were no numbers, or all codes are the same */
  async readLatents(): Promise<Float32Array<ArrayBuffer>> {
    const codes = await this.#readCodes();
    const [first] = codes;
    // What a core gives that reads nothing but zeros; nothing that is sampled ends like this.
    if (codes.length >= MIN_VARIED_CODES && codes.every((code) => code === first)) {
      throw brokenNumbers(`All ${codes.length} codes are ${first}`, { step: this.steps });
    }
    return Float32Array.from(codes);
  }

  dispose(): void {
    this.#picks.dispose();
    this.#ids.dispose();
  }

  async #readCodes(): Promise<Int32Array> {
    const codes = await this.#picks.read(this.#queued);
    checkPicked(codes);
    return codes;
  }

  /** Each picture has a generator of its own, so that it does not depend on how many are drawn. */
  #bind(core: TokenCore, image: number) {
    const { sampling, rules } = this.parts;
    const runtime = this.#runtime;
    const { ids, count } = this.#picks;
    const none = rules ?? runtime.createTensor("u32", [core.vocabularySize]);
    this.#queued = 0;
    runtime.write(ids, new Int32Array(this.steps + 1));
    runtime.write(count, new Int32Array(1));
    const { logits, vocabularySize, token, advance } = core;
    const pick = runtime.kernels.pickToken({
      logits,
      vocabularySize,
      token,
      advance,
      ...sampling,
      seed: sampling.seed + image,
      rules: none,
      repetitionPenalty: 1,
      ids,
      count,
    });
    const dispose = (): void => {
      if (none !== rules) none.dispose();
    };
    return { pick, dispose };
  }
}
