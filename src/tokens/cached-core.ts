// A language core with its key/value cache: prefill fills the cache in place, decode adds one token to it.
// Knows ports and shapes of `llamaBody`'s cached attention; knows nothing about text or families.
import type { Graph } from "../graph/graph.ts";
import { createLoopSession, type LoopSession } from "../session/loop-session.ts";
import type { Runtime, Session, Tensor, WeightTensors } from "../session/runtime.ts";
import type { TokenCore } from "./generate-tokens.ts";

/** Sizes and graphs of a cached core. */
export interface CachedCoreOptions {
  readonly prefill: Graph;
  readonly decode: Graph;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of the cache: prompt and answer together. */
  readonly capacity: number;
  readonly vocabularySize: number;
  /** Inputs that never change (rope tables), by port name; owned by the core from here on. */
  readonly constants: Readonly<Record<string, Tensor>>;
}

/** A core whose cache, lengths and logits live on the device. */
export class CachedCore implements TokenCore {
  readonly logits: Tensor;
  readonly vocabularySize: number;
  readonly token: Tensor;
  readonly advance: readonly Tensor[];
  readonly capacity: number;
  readonly #runtime: Runtime;
  readonly #prefill: Session;
  readonly #decode: LoopSession;
  readonly #state: CoreTensors;

  private constructor(
    runtime: Runtime,
    options: CachedCoreOptions,
    state: CoreTensors,
    prefill: Session,
    decode: LoopSession,
  ) {
    this.#runtime = runtime;
    this.#state = state;
    this.#prefill = prefill;
    this.#decode = decode;
    this.logits = state.logits;
    this.token = state.token;
    this.advance = [state.lastIndex, state.total];
    this.vocabularySize = options.vocabularySize;
    this.capacity = options.capacity;
  }

  /** Compiles both graphs over one cache; the decode loop is captured and proven where the device can. */
  static async create(
    runtime: Runtime,
    weights: WeightTensors,
    options: CachedCoreOptions,
  ): Promise<CachedCore> {
    const state = await createTensors(runtime, options);
    setLength(runtime, state, 1);
    const prefill = await runtime.createSession(options.prefill, weights);
    const decode = await createLoopSession(runtime, {
      graph: options.decode,
      weights,
      feeds: { token: state.token, ...state.feeds },
      fetches: { logits: state.logits, ...state.fetches },
      probe: "logits",
    });
    return new CachedCore(runtime, options, state, prefill, decode);
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return this.#decode;
  }

  /** Runs embeddings [1, length, hidden] from an empty cache; `logits` are those of the last one. */
  async prefill(embeddings: Tensor): Promise<void> {
    const length = embeddings.shape[1] ?? 0;
    setLength(this.#runtime, this.#state, length);
    const { feeds, fetches, logits } = this.#state;
    await this.#prefill.run({ embeddings, ...feeds }, { logits, ...fetches });
  }

  async decode(): Promise<void> {
    await this.#decode.run();
  }

  async dispose(): Promise<void> {
    await this.#prefill.dispose();
    await this.#decode.dispose();
    const { logits, token, feeds } = this.#state;
    for (const tensor of [logits, token, ...Object.values(feeds)]) tensor.dispose();
  }
}

interface CoreTensors {
  readonly logits: Tensor;
  readonly token: Tensor;
  /** GroupQueryAttention's seqlens_k: tokens in the cache after the run, minus one. */
  readonly lastIndex: Tensor;
  readonly total: Tensor;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly fetches: Readonly<Record<string, Tensor>>;
}

async function createTensors(runtime: Runtime, options: CachedCoreOptions): Promise<CoreTensors> {
  const { layers, kvHeads, headDim, capacity, constants } = options;
  const lastIndex = runtime.createTensor("i32", [1]);
  const total = runtime.createTensor("i32", [1]);
  const feeds: Record<string, Tensor> = {
    ...constants,
    seqlens_k: lastIndex,
    total_sequence_length: total,
  };
  const fetches: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["key", "value"]) {
      const cache = await runtime.createStableTensor(runtime.float, [
        1,
        kvHeads,
        capacity,
        headDim,
      ]);
      feeds[`past.${layer}.${part}`] = cache;
      fetches[`present.${layer}.${part}`] = cache;
    }
  }
  const rows = logitRows(options.decode);
  const logits = await runtime.createStableTensor("f32", [1, 1, rows]);
  const token = runtime.createTensor("i32", [1, 1]);
  return { logits, token, lastIndex, total, feeds, fetches };
}

function logitRows(decode: Graph): number {
  const rows = decode.outputs.find(({ name }) => name === "logits")?.shape.at(-1);
  return Number(rows);
}

function setLength(runtime: Runtime, { lastIndex, total }: CoreTensors, length: number): void {
  runtime.write(lastIndex, Int32Array.of(length - 1));
  runtime.write(total, Int32Array.of(length));
}
