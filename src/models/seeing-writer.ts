// The understanding half of a model whose core reads pictures as a tower's features among the embeddings of
// text, and answers from its language head. Knows no family: tower, template and pixels are parts.
import { present } from "../base/assert.ts";
import type { Pixels } from "../base/pixels.ts";
import type { Message } from "../base/requests.ts";
import type { LlamaConfig } from "../graph/blocks/llama.ts";
import type { Graph } from "../graph/graph.ts";
import type { Runtime, Session, Tensor } from "../session/runtime.ts";
import { prefillConversation, type ConversationParts } from "./conversation-writer.ts";
import type { PromptPart } from "./prompt-parts.ts";
import type { StageContext, WriteStage, WrittenPrompt } from "./family.ts";
import { GrowingCore } from "./growing-core.ts";
import { decodeGraph, embedGraph, prefillGraph } from "./llama-graphs.ts";

/** What a family brings to its answers. */
export interface SeeingParts {
  readonly language: LlamaConfig;
  /** pixels f32 [1, 3, size, size] -> `features` [1, slots, hidden]. */
  readonly vision: Graph;
  /** Pixels of one side of what the tower reads. */
  readonly imageSize: number;
  /** Embeddings that a picture takes in the sequence. */
  readonly pictureSlots: number;
  /** A picture as the tower reads it, [3, size, size]. */
  preprocess(picture: Pixels): Float32Array<ArrayBuffer>;
  /** The family's chat template. @throws TypeError for a conversation that it cannot hold */
  prompt(messages: readonly Message[]): PromptPart[];
}

/** A core that sees and writes, on the device. */
export class SeeingWriter implements Pick<WriteStage, "prefill"> {
  readonly #runtime: Runtime;
  readonly #parts: SeeingParts;
  readonly #vision: Session;
  readonly #conversation: ConversationParts;

  private constructor(
    runtime: Runtime,
    parts: SeeingParts,
    { embed, vision, core }: { embed: Session; vision: Session; core: GrowingCore },
  ) {
    const { hiddenSize, maxPositions } = parts.language;
    this.#runtime = runtime;
    this.#parts = parts;
    this.#vision = vision;
    this.#conversation = {
      core,
      embed,
      see: (picture) => this.#see(picture),
      pictureSlots: parts.pictureSlots,
      hiddenSize,
      maxPositions,
    };
  }

  /** Compiles the stage; weights must be loaded. */
  static async create(
    { runtime, weights, quantization }: StageContext<unknown>,
    parts: SeeingParts,
  ): Promise<SeeingWriter> {
    const { language } = parts;
    const options = { float: runtime.float, quantization };
    const core = new GrowingCore(runtime, weights.tensors, {
      language,
      vocabularySize: language.vocabularySize,
      graphs: ({ capacity }) => ({
        prefill: prefillGraph(parts, capacity, options),
        decode: decodeGraph(parts, capacity, options),
      }),
    });
    const embed = await runtime.createSession(embedGraph(parts, options), weights.tensors);
    const vision = await runtime.createSession(parts.vision, weights.tensors);
    await core.open(1);
    return new SeeingWriter(runtime, parts, { embed, vision, core });
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): GrowingCore["capture"] {
    return this.#conversation.core.capture;
  }

  prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const prompt = this.#parts.prompt(messages);
    return prefillConversation(this.#runtime, prompt, this.#conversation, { maxTokens, signal });
  }

  async dispose(): Promise<void> {
    await this.#conversation.embed.dispose();
    await this.#vision.dispose();
    await this.#conversation.core.dispose();
  }

  async #see(picture: Pixels): Promise<Tensor> {
    const { imageSize } = this.#parts;
    const values = this.#parts.preprocess(picture);
    const pixels = this.#runtime.createTensor("f32", [1, 3, imageSize, imageSize], values);
    const { features } = await this.#vision.run({ pixels });
    pixels.dispose();
    return present(features, "features");
  }
}
