// Pisces understands: pictures through SigLIP, text through the core, answers from the language head.
import { present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import { dropAlpha, normalize } from "../../pixels/preprocess.ts";
import { resizeBicubic } from "../../pixels/resize.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { prefillConversation, type ConversationParts } from "../conversation-writer.ts";
import type { StageContext, WrittenPrompt } from "../family.ts";
import { GrowingCore } from "../growing-core.ts";
import type { PiscesConfig } from "./config.ts";
import { decodeGraph, embedGraph, prefillGraph } from "./core.ts";
import { understandingPrompt, type PiscesTokens } from "./prompt.ts";
import { pictureSlots, visionGraph } from "./vision.ts";

/** The understanding half of a Pisces model. */
export class PiscesWriter {
  readonly #context: StageContext<PiscesConfig>;
  readonly #tokens: PiscesTokens;
  readonly #vision: Session;
  readonly #parts: ConversationParts;

  private constructor(
    context: StageContext<PiscesConfig>,
    tokens: PiscesTokens,
    { embed, vision, core }: { embed: Session; vision: Session; core: GrowingCore },
  ) {
    this.#context = context;
    this.#tokens = tokens;
    this.#vision = vision;
    const { hiddenSize, maxPositions } = context.config.language;
    this.#parts = {
      core,
      embed,
      see: (picture) => this.#see(picture),
      pictureSlots: pictureSlots(context.config),
      hiddenSize,
      maxPositions,
    };
  }

  /** Compiles the stage; weights must be loaded. */
  static async create(
    context: StageContext<PiscesConfig>,
    tokens: PiscesTokens,
  ): Promise<PiscesWriter> {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const core = new GrowingCore(runtime, weights.tensors, {
      language: config.language,
      vocabularySize: config.language.vocabularySize,
      graphs: ({ capacity }) => ({
        prefill: prefillGraph(config, capacity, options),
        decode: decodeGraph(config, capacity, options),
      }),
    });
    const embed = await runtime.createSession(embedGraph(config, options), weights.tensors);
    const vision = await runtime.createSession(visionGraph(config, options), weights.tensors);
    await core.open(1);
    return new PiscesWriter(context, tokens, { embed, vision, core });
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): GrowingCore["capture"] {
    return this.#parts.core.capture;
  }

  prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const parts = understandingPrompt(messages, this.#tokens);
    return prefillConversation(this.#context.runtime, parts, this.#parts, { maxTokens, signal });
  }

  async dispose(): Promise<void> {
    await this.#parts.embed.dispose();
    await this.#vision.dispose();
    await this.#parts.core.dispose();
  }

  async #see(picture: Pixels): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const size = config.vision.imageSize;
    const values = picturePixels(picture, config);
    const pixels = runtime.createTensor("f32", [1, 3, size, size], values);
    const { features } = await this.#vision.run({ pixels });
    pixels.dispose();
    return present(features, "features");
  }
}

/**
 * A picture as the tower wants it, [3, size, size]: squashed to a square.
 *
 * @see https://github.com/huggingface/transformers/blob/v4.46.3/src/transformers/models/siglip/image_processing_siglip.py
 */
export function picturePixels(
  picture: Pixels,
  { vision: { imageSize }, normalization }: PiscesConfig,
): Float32Array<ArrayBuffer> {
  const squashed = resizeBicubic(dropAlpha(picture), imageSize, imageSize);
  return normalize(squashed, { ...normalization, doNormalize: true });
}
