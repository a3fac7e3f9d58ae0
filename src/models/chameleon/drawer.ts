// Chameleon draws: codes of one picture, each picked from the mixed logits of up to three contexts.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L293-L375
import { FORBIDDEN_TOKEN, type Tensor } from "../../session/runtime.ts";
import { CodeDrawing } from "../../tokens/code-drawing.ts";
import type { DrawDefaults, DrawRequest, StageContext } from "../family.ts";
import { promptLength } from "../prompt-parts.ts";
import { checkCodeDrawing, checkDrawingRoom } from "../request-limits.ts";
import { codesPerPicture, type ChameleonConfig } from "./config.ts";
import { Contexts } from "./contexts.ts";
import { guidedContexts, type GuidanceScales, type GuidedContext } from "./guidance.ts";
import { drawingPrompt, PICTURE_MARKS } from "./prompt.ts";
import { readIds, type SharedStages } from "./writer.ts";

// Anole's temperature; Chameleon's own is 0.7.
const SAMPLING = { temperature: 1, topK: 0 };

/** What is drawn behind a context that is on the host already. */
export interface ContextDrawing extends GuidanceScales {
  /** The last id begins the picture. */
  readonly ids: readonly number[];
  readonly unwanted?: readonly number[] | undefined;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
  /** Takes the ids of every picture that is decoded, i32 [codes] on the device. */
  readonly onDecode?: (ids: Tensor) => void;
}

/** The drawing half of an Anole model. */
export class ChameleonDrawer {
  readonly #context: StageContext<ChameleonConfig>;
  readonly #shared: SharedStages;
  readonly #contexts: Contexts;
  /** Codes alone may be picked. */
  readonly #rules: Tensor;

  constructor(context: StageContext<ChameleonConfig>, shared: SharedStages) {
    const { runtime, config } = context;
    this.#context = context;
    this.#shared = shared;
    this.#contexts = new Contexts(context, shared.embed);
    const { vocabularySize } = config.language;
    const rules = new Uint32Array(vocabularySize).fill(FORBIDDEN_TOKEN);
    for (const id of config.vocabulary.codeIds) rules[id] = 0;
    this.#rules = runtime.createTensor("u32", [vocabularySize], rules);
  }

  /** Does the decode loop replay a captured command list; undefined before the first drawing. */
  get capture(): Contexts["capture"] {
    return this.#contexts.capture;
  }

  async prepare(request: DrawRequest, signal?: AbortSignal): Promise<CodeDrawing> {
    const { tokens, pictures } = this.#shared;
    const own = drawDefaults(this.#context.config, request.images.length > 0);
    checkCodeDrawing(request, own);
    const { images, prompt, negativePrompt, seed, guidance } = request;
    const parts = drawingPrompt(images, prompt, tokens);
    this.#checkLength(promptLength(parts, codesPerPicture(this.#context.config) + PICTURE_MARKS));
    const unwanted =
      negativePrompt === undefined
        ? undefined
        : [...tokens.tokenizer.encodeText(negativePrompt), tokens.vocabulary.eot];
    const ids = await readIds(parts, pictures, signal);
    const imageGuidance = request.imageGuidance ?? own.imageGuidance;
    return this.drawBehind({ ids, unwanted, seed, guidance, imageGuidance, signal });
  }

  /** Fills the contexts of a drawing. */
  async drawBehind(drawing: ContextDrawing): Promise<CodeDrawing> {
    const { runtime, config } = this.#context;
    const { ids, unwanted, seed, guidance, signal, onDecode } = drawing;
    const contexts = guidedContexts(ids, config.vocabulary, drawing, unwanted);
    const longest = Math.max(...contexts.map((context) => context.ids.length));
    this.#checkLength(longest);
    await this.#contexts.open(
      contexts.map(({ weight }) => weight),
      longest + codesPerPicture(config),
    );
    await this.#fill(contexts, "all", signal);
    let isFresh = true;
    return new CodeDrawing(runtime, {
      grid: config.grid,
      sampling: { ...SAMPLING, topP: config.generation.topP, seed },
      guidance,
      rules: this.#rules,
      begin: async (beginSignal) => {
        // Behind a drawn picture the caches still hold the prompts.
        if (!isFresh) await this.#fill(contexts, "last", beginSignal);
        isFresh = false;
        return this.#contexts.core;
      },
      decode: (codes) => {
        onDecode?.(codes);
        return this.#shared.pictures.decode(codes);
      },
    });
  }

  async dispose(): Promise<void> {
    this.#rules.dispose();
    await this.#contexts.dispose();
  }

  async #fill(
    contexts: readonly GuidedContext[],
    part: "all" | "last",
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const [row, { ids }] of contexts.entries()) {
      signal?.throwIfAborted();
      await this.#contexts.fill(ids, { row, from: part === "all" ? 0 : ids.length - 1 });
    }
  }

  #checkLength(length: number): void {
    const { config } = this.#context;
    checkDrawingRoom({
      prompt: length,
      picture: codesPerPicture(config),
      maxPositions: config.language.maxPositions,
      advice: "send fewer pictures",
    });
  }
}

/** The checkpoint's own numbers, or the reference's; a picture has as many steps as codes. */
export function drawDefaults(
  config: ChameleonConfig,
  isBehindPictures: boolean,
): Required<DrawDefaults> {
  const { imageSize: size, generation } = config;
  const scales = isBehindPictures ? generation.editing : generation.drawing;
  return { width: size, height: size, steps: codesPerPicture(config), ...scales };
}

/** Pictures for which a prompt has room beside the one that is drawn. */
export function maxImages(config: ChameleonConfig): number {
  const codes = codesPerPicture(config);
  const marks = PICTURE_MARKS;
  return Math.floor((config.language.maxPositions - codes - marks) / (codes + marks));
}

/** Why a checkpoint does not draw. */
export const WITHOUT_DECODER =
  "This checkpoint cannot draw: it was published without the decoder of its picture tokenizer " +
  "(model.vqmodel.post_quant_conv and model.vqmodel.decoder). Anole-7B has it.";
