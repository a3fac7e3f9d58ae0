// A core with its key/value cache that emits vectors: prefill fills the cache in place, decode adds one
// vector to it. The sibling of cached-core.ts, whose decode reads a token.
import { assert, present } from "../base/assert.ts";
import type { Graph } from "../graph/graph.ts";
import { createLoopSession, type LoopSession } from "../session/loop-session.ts";
import type { Runtime, Session, Tensor, WeightTensors } from "../session/runtime.ts";
import { cachePorts, createLayerCaches, type LayerCache } from "./layer-caches.ts";
import type { EmbeddingCore } from "./generate-embeddings.ts";

/** Sizes and graphs of a core. */
export interface CachedEmbeddingCoreOptions {
  /** `embeddings` [1, S, hidden] -> `vector` [1, 1, width] behind the last slot. */
  readonly prefill: Graph;
  /**
   * `previous` [1, 1, width] -> `vector` [1, 1, width], its only result beside the cache. A projection of the
   * vector belongs at the beginning: at the end it would be a second output that ends in a bias, which replays do
   * not write (session/loop-session.ts), and the proof of a capture looks at one output.
   */
  readonly decode: Graph;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of the cache: prompt and vectors together. */
  readonly capacity: number;
  /** Inputs that never change (rope tables), by port name; owned by the core from here on. */
  readonly constants: Readonly<Record<string, Tensor>>;
}

/** What both graphs read and write. */
interface CoreState {
  readonly previous: Tensor;
  readonly vector: Tensor;
  readonly lastIndex: Tensor;
  readonly total: Tensor;
  readonly caches: readonly LayerCache[];
  readonly constants: Readonly<Record<string, Tensor>>;
}

/** A core whose cache, lengths and vectors live on the device. */
export class CachedEmbeddingCore implements EmbeddingCore {
  readonly previous: Tensor;
  readonly vector: Tensor;
  readonly place: readonly [Tensor, Tensor];
  readonly capacity: number;
  readonly #runtime: Runtime;
  readonly #prefill: Session;
  readonly #decode: LoopSession;
  readonly #state: CoreState;
  #length = 0;

  private constructor(
    runtime: Runtime,
    capacity: number,
    state: CoreState,
    prefill: Session,
    decode: LoopSession,
  ) {
    this.#runtime = runtime;
    this.#state = state;
    this.#prefill = prefill;
    this.#decode = decode;
    this.capacity = capacity;
    this.previous = state.previous;
    this.vector = state.vector;
    this.place = [state.lastIndex, state.total];
  }

  /** Compiles both graphs over the cache; the decode loop is captured and proven where the device can. */
  static async create(
    runtime: Runtime,
    weights: WeightTensors,
    options: CachedEmbeddingCoreOptions,
  ): Promise<CachedEmbeddingCore> {
    const state = await createState(runtime, options);
    const { previous, vector, caches } = state;
    const prefill = await runtime.createSession(options.prefill, weights);
    const decode = await createLoopSession(runtime, {
      graph: options.decode,
      weights,
      feeds: { previous, ...cacheFeeds(state) },
      fetches: { vector, ...cachePorts(caches, "present") },
      freeFeeds: ["previous"],
    });
    return new CachedEmbeddingCore(runtime, options.capacity, state, prefill, decode);
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return this.#decode;
  }

  get length(): number {
    return this.#length;
  }

  /** Runs embeddings [1, S, hidden] into an empty cache; `vector` is the one behind the last slot. */
  async prefill(embeddings: Tensor): Promise<void> {
    const runtime = this.#runtime;
    const { vector, lastIndex, total, caches } = this.#state;
    const length = present(embeddings.shape[1], "slots");
    assert(length <= this.capacity, `${length} slots fit into ${this.capacity}`);
    runtime.write(lastIndex, Int32Array.of(length - 1));
    runtime.write(total, Int32Array.of(length));
    const feeds = { embeddings, ...cacheFeeds(this.#state) };
    await this.#prefill.run(feeds, { vector, ...cachePorts(caches, "present") });
    this.#length = length;
  }

  decode(): Promise<void> {
    return this.#decode.run();
  }

  async dispose(): Promise<void> {
    await this.#prefill.dispose();
    await this.#decode.dispose();
    const { caches, constants, ...rest } = this.#state;
    const cached = caches.flatMap(({ key, value }) => [key, value]);
    const all = [...cached, ...Object.values(constants), ...Object.values(rest)];
    for (const tensor of all) tensor.dispose();
  }
}

async function createState(
  runtime: Runtime,
  options: CachedEmbeddingCoreOptions,
): Promise<CoreState> {
  const port = options.decode.outputs.find(({ name }) => name === "vector");
  const shape = present(port, "vector").shape.map(Number);
  return {
    previous: runtime.createTensor(runtime.float, shape),
    vector: await runtime.createStableTensor(runtime.float, shape),
    lastIndex: runtime.createTensor("i32", [1]),
    total: runtime.createTensor("i32", [1], Int32Array.of(1)),
    caches: await createLayerCaches(runtime, options, 1),
    constants: options.constants,
  };
}

function cacheFeeds({ lastIndex, total, caches, constants }: CoreState): Record<string, Tensor> {
  return {
    seqlens_k: lastIndex,
    total_sequence_length: total,
    ...constants,
    ...cachePorts(caches, "past"),
  };
}
