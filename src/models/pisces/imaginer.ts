// Pisces imagines: a caption goes through the core, which then emits the vectors of a picture one by one.
import { present } from "../../base/assert.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { CachedEmbeddingCore } from "../../tokens/cached-embedding-core.ts";
import { generateEmbeddings } from "../../tokens/generate-embeddings.ts";
import type { StageContext } from "../family.ts";
import { embedGraph } from "../llama-graphs.ts";
import { embedIds } from "../prompt-embeddings.ts";
import { ropeTensors } from "../rope-tensors.ts";
import type { PiscesConfig } from "./config.ts";
import { captionGraph, imagineGraph } from "./core.ts";

// The cache grows in steps of this many slots, so that most captions find a compiled loop.
const CAPACITY_STEP = 128;

/** Slots that a core is compiled for where so many are needed. */
export function imaginerCapacity(slots: number, { language }: PiscesConfig): number {
  return Math.min(Math.ceil(slots / CAPACITY_STEP) * CAPACITY_STEP, language.maxPositions);
}

/** The core as an emitter of vectors. */
export class PiscesImaginer {
  readonly #context: StageContext<PiscesConfig>;
  readonly #embed: Session;
  #core: CachedEmbeddingCore | undefined;

  private constructor(context: StageContext<PiscesConfig>, embed: Session) {
    this.#context = context;
    this.#embed = embed;
  }

  /** Compiles the stage for short captions; weights must be loaded. */
  static async create(context: StageContext<PiscesConfig>): Promise<PiscesImaginer> {
    const { config, runtime, weights, quantization } = context;
    const graph = embedGraph(config, { float: runtime.float, quantization });
    const embed = await runtime.createSession(graph, weights.tensors);
    const imaginer = new PiscesImaginer(context, embed);
    await imaginer.#coreFor(config.vectors + 1);
    return imaginer;
  }

  /** Does the loop over vectors replay a captured command list; else why not. */
  get capture(): CachedEmbeddingCore["capture"] {
    return present(this.#core, "core").capture;
  }

  /**
   * The vectors of one picture, [1, vectors, vector size] in the runtime's float type; the caller's.
   *
   * @param ids - a caption's prompt, image start last
   * @throws the signal's reason, at most one vector after it fires
   */
  async imagine(ids: readonly number[], signal?: AbortSignal): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const core = await this.#coreFor(ids.length + config.vectors);
    signal?.throwIfAborted();
    const caption = await embedIds(runtime, this.#embed, ids);
    const vectors = runtime.createTensor(runtime.float, [1, config.vectors, config.vectorSize]);
    try {
      await core.prefill(caption);
      await generateEmbeddings(runtime, core, { vectors, signal });
    } catch (error) {
      vectors.dispose();
      throw error;
    } finally {
      caption.dispose();
    }
    return vectors;
  }

  async dispose(): Promise<void> {
    await this.#embed.dispose();
    await this.#core?.dispose();
  }

  /** The compiled core with at least this many slots; replaces a smaller one. */
  async #coreFor(slots: number): Promise<CachedEmbeddingCore> {
    if (this.#core !== undefined && this.#core.capacity >= slots) return this.#core;
    const { config, runtime, weights, quantization } = this.#context;
    const { layers, kvHeads, headDim } = config.language;
    const capacity = imaginerCapacity(slots, config);
    const options = { float: runtime.float, quantization };
    await this.#core?.dispose();
    this.#core = undefined;
    this.#core = await CachedEmbeddingCore.create(runtime, weights.tensors, {
      prefill: captionGraph(config, capacity, options),
      decode: imagineGraph(config, capacity, options),
      layers,
      kvHeads,
      headDim,
      capacity,
      constants: ropeTensors(runtime, config.language, capacity),
    });
    return this.#core;
  }
}
