// Answers of texts and pictures: the core begins a picture by itself, its codes go into the conversation, and
// the text goes on behind it.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L378-L428
import { assert, present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import { brokenNumbers } from "../../base/numerics.ts";
import type { Message } from "../../base/requests.ts";
import type { Tensor } from "../../session/runtime.ts";
import type { InterleaveRequest, StageContext, WrittenPrompt } from "../family.ts";
import { checkCodeSteps } from "../request-limits.ts";
import { codesPerPicture, type ChameleonConfig } from "./config.ts";
import { drawDefaults, type ChameleonDrawer } from "./drawer.ts";
import { interleavedPrompt } from "./prompt.ts";
import type { ChameleonWriter, SharedStages } from "./writer.ts";

/** A conversation of an Anole model. */
export class ChameleonInterleaver {
  readonly #context: StageContext<ChameleonConfig>;
  readonly #shared: SharedStages;
  readonly #writer: ChameleonWriter;
  readonly #drawer: ChameleonDrawer;
  /** Ids of the newest picture, i32 [codes]. */
  readonly #drawn: Tensor;
  /** The conversation up to the begin of that picture. */
  #before: readonly number[] | undefined;

  constructor(
    context: StageContext<ChameleonConfig>,
    shared: SharedStages,
    writer: ChameleonWriter,
    drawer: ChameleonDrawer,
  ) {
    this.#context = context;
    this.#shared = shared;
    this.#writer = writer;
    this.#drawer = drawer;
    this.#drawn = context.runtime.createTensor("i32", [codesPerPicture(context.config)]);
  }

  prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const parts = interleavedPrompt(messages, this.#shared.tokens);
    return this.#writer.begin(parts, { maxTokens, mayDraw: true, signal });
  }

  async prepare(
    answered: readonly number[],
    { steps, guidance, seed }: InterleaveRequest,
    signal?: AbortSignal,
  ): Promise<Drawing> {
    const { runtime, config } = this.#context;
    const ids = [...this.#writer.ids, ...answered];
    const own = drawDefaults(config, ids.includes(config.vocabulary.eoi));
    checkCodeSteps(steps ?? own.steps, own.steps);
    this.#before = ids;
    return this.#drawer.drawBehind({
      ids,
      seed,
      guidance: guidance ?? own.guidance,
      imageGuidance: own.imageGuidance,
      signal,
      onDecode: (codes) => runtime.copy(codes, this.#drawn),
    });
  }

  async resume(maxTokens: number, signal?: AbortSignal): Promise<WrittenPrompt | undefined> {
    const { runtime, config } = this.#context;
    const before = present(this.#before, "picture");
    this.#before = undefined;
    const codes = await runtime.read(this.#drawn);
    assert(codes instanceof Int32Array, "ids are i32");
    this.#checkCodes(codes);
    const ids = [...before, ...codes, config.vocabulary.eoi];
    if (ids.length >= config.language.maxPositions) return undefined;
    // The begin of the picture was picked and not yet read.
    return this.#writer.extend(ids, before.length - 1, { maxTokens, mayDraw: true, signal });
  }

  /** A device that was lost since the picture was drawn may give zeros: the id of padding. */
  #checkCodes(ids: Int32Array): void {
    const known = new Set(this.#context.config.vocabulary.codeIds);
    const broken = ids.findIndex((id) => !known.has(id));
    if (broken < 0) return;
    const what = `Code ${broken + 1} of the drawn picture is read back as id ${ids[broken]}, which is no code`;
    throw brokenNumbers(what, { code: broken + 1 });
  }

  dispose(): void {
    this.#drawn.dispose();
  }
}
