// JanusFlow understands: pictures through SigLIP, text through the core, answers from the language head.
import type { FloatType } from "../../base/dtype.ts";
import { f32ToF16 } from "../../base/float16.ts";
import type { Message } from "../../base/requests.ts";
import { present } from "../../base/assert.ts";
import { ropeTables } from "../../graph/blocks/llama.ts";
import { preprocess } from "../../pixels/preprocess.ts";
import type { Pixels } from "../../base/pixels.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { CachedCore } from "../../tokens/cached-core.ts";
import type { StageContext, WrittenPrompt } from "../family.ts";
import type { JanusFlowConfig } from "./config.ts";
import { decodeGraph, embedGraph, prefillGraph } from "./core.ts";
import { pictureSlots, visionGraph } from "./vision.ts";
import { promptLength, understandingPrompt, type JanusTokens, type PromptPart } from "./prompt.ts";

// The cache grows in steps of this many slots, so that most prompts find a compiled loop.
const CAPACITY_STEP = 256;

/** The understanding half of a JanusFlow model. */
export class JanusFlowWriter {
  readonly #context: StageContext<JanusFlowConfig>;
  readonly #tokens: JanusTokens;
  readonly #embed: Session;
  readonly #vision: Session;
  #core: CachedCore | undefined;

  private constructor(
    context: StageContext<JanusFlowConfig>,
    tokens: JanusTokens,
    embed: Session,
    vision: Session,
  ) {
    this.#context = context;
    this.#tokens = tokens;
    this.#embed = embed;
    this.#vision = vision;
  }

  /** Compiles the stages; weights must be loaded. */
  static async create(
    context: StageContext<JanusFlowConfig>,
    tokens: JanusTokens,
  ): Promise<JanusFlowWriter> {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const embed = await runtime.createSession(embedGraph(config, options), weights.tensors);
    const vision = await runtime.createSession(visionGraph(config, options), weights.tensors);
    const writer = new JanusFlowWriter(context, tokens, embed, vision);
    await writer.#coreFor(1);
    return writer;
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): CachedCore["capture"] {
    return present(this.#core, "core").capture;
  }

  async prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const { config } = this.#context;
    const parts = understandingPrompt(messages, this.#tokens);
    const length = promptLength(parts, pictureSlots(config));
    const room = Math.min(maxTokens, config.language.maxPositions - length);
    if (room < 1) {
      throw new RangeError(
        `The conversation takes ${length} tokens, the model's context has ${config.language.maxPositions}: ` +
          "send fewer messages or pictures.",
      );
    }
    const core = await this.#coreFor(length + room);
    const embeddings = await this.#embedParts(parts, length, signal);
    signal?.throwIfAborted();
    await core.prefill(embeddings);
    embeddings.dispose();
    return { promptTokens: length, room, core };
  }

  async dispose(): Promise<void> {
    await this.#embed.dispose();
    await this.#vision.dispose();
    await this.#core?.dispose();
  }

  /** Embeddings [1, length, hidden] of ids and pictures in order. */
  async #embedParts(
    parts: readonly PromptPart[],
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const sequence = runtime.createTensor(runtime.float, [1, length, config.language.hiddenSize]);
    let targetOffset = 0;
    for (const part of parts) {
      signal?.throwIfAborted();
      const piece =
        part.kind === "ids" ? await this.#embedIds(part.ids) : await this.#see(part.pixels);
      runtime.copy(piece, sequence, { targetOffset, bytes: piece.byteLength });
      targetOffset += piece.byteLength;
      piece.dispose();
    }
    return sequence;
  }

  async #embedIds(ids: readonly number[]): Promise<Tensor> {
    const { runtime } = this.#context;
    const input = runtime.createTensor("i32", [1, ids.length], Int32Array.from(ids));
    const { embeddings } = await this.#embed.run({ ids: input });
    input.dispose();
    return present(embeddings, "embeddings");
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

  /** The compiled core with at least this many slots; replaces a smaller one. */
  async #coreFor(slots: number): Promise<CachedCore> {
    if (this.#core !== undefined && this.#core.capacity >= slots) return this.#core;
    const { config, runtime, weights, quantization } = this.#context;
    const { language } = config;
    const stepped = Math.ceil(slots / CAPACITY_STEP) * CAPACITY_STEP;
    const capacity = Math.min(stepped, language.maxPositions);
    const options = { float: runtime.float, quantization };
    await this.#core?.dispose();
    this.#core = undefined;
    this.#core = await CachedCore.create(runtime, weights.tensors, {
      prefill: prefillGraph(config, capacity, options),
      decode: decodeGraph(config, capacity, options),
      layers: language.layers,
      kvHeads: language.kvHeads,
      headDim: language.headDim,
      vocabularySize: language.vocabularySize,
      capacity,
      constants: ropeTensors(runtime, config, capacity),
    });
    return this.#core;
  }
}

/** The rope tables of `positions` slots under their port names, [positions, head size / 2]. */
export function ropeTensors(
  runtime: StageContext<JanusFlowConfig>["runtime"],
  { language }: JanusFlowConfig,
  positions: number,
): Record<"rope.cos" | "rope.sin", Tensor> {
  const { cos, sin } = ropeTables(language, positions);
  const shape = [positions, language.headDim / 2];
  return {
    "rope.cos": runtime.createTensor(runtime.float, shape, inFloat(runtime.float, cos)),
    "rope.sin": runtime.createTensor(runtime.float, shape, inFloat(runtime.float, sin)),
  };
}

function inFloat(float: FloatType, values: Float32Array): ArrayBufferView {
  return float === "f16" ? f32ToF16(values) : values;
}
