// Janus understands: pictures through SigLIP, text through the core, answers from the language head.
import { present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import { preprocess } from "../../pixels/preprocess.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { prefillConversation } from "../conversation-writer.ts";
import { understandingPrompt } from "../deepseek-prompt.ts";
import type { StageContext, WrittenPrompt } from "../family.ts";
import { GrowingCore } from "../growing-core.ts";
import type { JanusConfig } from "./config.ts";
import { decodeGraph, embedGraph, prefillGraph } from "./core.ts";
import type { JanusTokens } from "./prompt.ts";
import { pictureSlots, visionGraph } from "./vision.ts";

/** The understanding half of a Janus model. */
export class JanusWriter {
  readonly #context: StageContext<JanusConfig>;
  readonly #tokens: JanusTokens;
  readonly #embed: Session;
  readonly #vision: Session;
  readonly #core: GrowingCore;

  private constructor(
    context: StageContext<JanusConfig>,
    tokens: JanusTokens,
    embed: Session,
    vision: Session,
  ) {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    this.#context = context;
    this.#tokens = tokens;
    this.#embed = embed;
    this.#vision = vision;
    this.#core = new GrowingCore(runtime, weights.tensors, {
      language: config.language,
      vocabularySize: config.language.vocabularySize,
      graphs: (size) => ({
        prefill: prefillGraph(config, "words", size.capacity, options),
        decode: decodeGraph(config, "words", size, options),
      }),
    });
  }

  /** Compiles the stage; weights must be loaded. */
  static async create(
    context: StageContext<JanusConfig>,
    tokens: JanusTokens,
  ): Promise<JanusWriter> {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const embed = await runtime.createSession(embedGraph(config, options), weights.tensors);
    const vision = await runtime.createSession(visionGraph(config, options), weights.tensors);
    const writer = new JanusWriter(context, tokens, embed, vision);
    await writer.#core.open(1);
    return writer;
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): GrowingCore["capture"] {
    return this.#core.capture;
  }

  async prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const { runtime, config } = this.#context;
    const { hiddenSize, maxPositions } = config.language;
    const parts = understandingPrompt(messages, this.#tokens);
    const stage = {
      core: this.#core,
      embed: this.#embed,
      see: (picture: Pixels) => this.#see(picture),
      pictureSlots: pictureSlots(config),
      hiddenSize,
      maxPositions,
    };
    return prefillConversation(runtime, parts, stage, { maxTokens, signal });
  }

  async dispose(): Promise<void> {
    await this.#embed.dispose();
    await this.#vision.dispose();
    await this.#core.dispose();
  }

  async #see(picture: Pixels): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const size = config.vision.imageSize;
    const values = preprocess(picture, config.preprocess);
    const pixels = runtime.createTensor("f32", [1, 3, size, size], values);
    const { features } = await this.#vision.run({ pixels });
    pixels.dispose();
    return present(features, "features");
  }
}
