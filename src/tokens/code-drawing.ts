// Pictures drawn as discrete codes, one token at a time: the loop of generate-tokens without text and stops.
// Picking, guidance and feedback stay on the device; at most two tokens are in flight.
import { assert } from "../base/assert.ts";
import type { Drawing, DrawingOptions, DrawingStep } from "../base/drawing.ts";
import type { Pixels } from "../base/pixels.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import { checkPicked } from "./generate-tokens.ts";
import type { TokenCore } from "./generate-tokens.ts";

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

/** A drawing whose steps are image tokens. Keep it for one call: `dispose` frees what it holds. */
export class CodeDrawing implements Drawing {
  readonly steps: number;
  readonly guidance: number;
  readonly latentShape: readonly number[];
  readonly #runtime: Runtime;
  /** What it was made of: tests and benchmarks look at single evaluations. */
  readonly parts: CodeDrawingParts;
  /** Of the newest picture. */
  readonly #ids: Tensor;

  constructor(runtime: Runtime, parts: CodeDrawingParts) {
    const [height, width] = parts.grid;
    this.steps = height * width;
    this.guidance = parts.guidance;
    this.latentShape = parts.grid;
    this.#runtime = runtime;
    this.parts = parts;
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

  decode(): Promise<Pixels> {
    return this.parts.decode(this.#ids);
  }

  /** @throws ModelError numerics when the logits of a code were no numbers */
  async readLatents(): Promise<Float32Array<ArrayBuffer>> {
    const ids = await this.#runtime.read(this.#ids);
    assert(ids instanceof Int32Array, "token ids are i32");
    checkPicked(ids);
    return Float32Array.from(ids);
  }

  dispose(): void {
    this.#ids.dispose();
  }

  /** Each picture has a generator of its own, so that it does not depend on how many are drawn. */
  #bind(core: TokenCore, image: number) {
    const { sampling, rules } = this.parts;
    const runtime = this.#runtime;
    const count = runtime.createTensor("i32", [1]);
    const none = rules ?? runtime.createTensor("u32", [core.vocabularySize]);
    runtime.write(this.#ids, new Int32Array(this.steps));
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
      ids: this.#ids,
      count,
    });
    const dispose = (): void => {
      count.dispose();
      if (none !== rules) none.dispose();
    };
    return { pick, dispose };
  }
}
