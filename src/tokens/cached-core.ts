// A language core with its key/value cache: prefill fills the cache in place, decode adds one token to it.
// Several rows are several contexts that take the same tokens, for guidance over their logits. Knows ports
// and shapes of `llamaBody`'s cached attention; knows nothing about text or families.
import { present } from "../base/assert.ts";
import type { Graph } from "../graph/graph.ts";
import { createLoopSession, type LoopSession } from "../session/loop-session.ts";
import type { Dispatch, Runtime, Session, Tensor, WeightTensors } from "../session/runtime.ts";
import { cachePorts, createLayerCaches, type LayerCache } from "./layer-caches.ts";
import type { TokenCore } from "./generate-tokens.ts";

/** Sizes and graphs of a cached core. */
export interface CachedCoreOptions {
  /** Embeddings [1, S, hidden] into a cache of one row -> logits [1, 1, vocabulary] of the last slot. */
  readonly prefill: Graph;
  /** One token i32 [1, 1] for all rows -> logits [rows, 1, vocabulary]. */
  readonly decode: Graph;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of each row's cache: prompt and answer together. */
  readonly capacity: number;
  /** Ids of the logits that may be picked. */
  readonly vocabularySize: number;
  /** Inputs that never change (rope tables), by port name; owned by the core from here on. */
  readonly constants: Readonly<Record<string, Tensor>>;
  /** Guidance: logits = sum of weight[r] * row r. Default [1]: one row, as it is. */
  readonly weights?: readonly number[];
}

/** Which row a prefill fills, and from where. */
export interface PrefillOptions {
  readonly row?: number;
  /** Slots of the row that are kept; default 0: an empty cache. */
  readonly from?: number;
}

/** A core whose caches, lengths and logits live on the device. */
export class CachedCore implements TokenCore {
  readonly logits: Tensor;
  readonly vocabularySize: number;
  readonly token: Tensor;
  readonly advance: readonly Tensor[];
  readonly capacity: number;
  readonly #runtime: Runtime;
  readonly #prefill: Session;
  readonly #decode: LoopSession;
  readonly #state: CoreState;
  #mix: Dispatch | undefined;

  private constructor(
    runtime: Runtime,
    options: CachedCoreOptions,
    state: CoreState,
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
    this.setWeights(options.weights ?? [1]);
  }

  /** Compiles both graphs over the caches; the decode loop is captured and proven where the device can. */
  static async create(
    runtime: Runtime,
    weights: WeightTensors,
    options: CachedCoreOptions,
  ): Promise<CachedCore> {
    const state = await createState(runtime, options);
    writeLengths(runtime, state);
    const prefill = await runtime.createSession(options.prefill, weights);
    const decode = await createLoopSession(runtime, {
      graph: options.decode,
      weights,
      feeds: {
        token: state.token,
        seqlens_k: state.lastIndex,
        total_sequence_length: state.total,
        ...options.constants,
        ...cachePorts(state.caches, "past"),
      },
      fetches: { logits: state.rowLogits, ...cachePorts(state.caches, "present") },
      freeFeeds: ["token"],
    });
    return new CachedCore(runtime, options, state, prefill, decode);
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return this.#decode;
  }

  /** Slots of a row that are filled by prefills; tokens that were decoded since are not counted. */
  length(row = 0): number {
    return present(this.#state.lengths[row], `row ${row}`);
  }

  /** Changes the guidance: one weight for each row. */
  setWeights(weights: readonly number[]): void {
    const { rowLogits, logits } = this.#state;
    this.#mix =
      rowLogits === logits
        ? undefined
        : this.#runtime.kernels.mixRows({ rows: rowLogits, weights, mixed: logits });
  }

  /**
   * Runs embeddings [1, length, hidden] behind what a row keeps of its cache. `logits` are those of the last
   * slot, with guidance once every row was filled.
   *
   * @returns what the prefill graph gives beside logits and caches; the caller's to dispose
   */
  async prefill(
    embeddings: Tensor,
    { row = 0, from = 0 }: PrefillOptions = {},
  ): Promise<Record<string, Tensor>> {
    const runtime = this.#runtime;
    const state = this.#state;
    const { single } = state;
    const length = from + (embeddings.shape[1] ?? 0);
    const isShared = single.caches === state.caches;
    if (!isShared && from > 0) copyRow(runtime, state, row, "fromRow");
    runtime.write(single.lastIndex, Int32Array.of(length - 1));
    runtime.write(single.total, Int32Array.of(length));
    const feeds = {
      embeddings,
      seqlens_k: single.lastIndex,
      total_sequence_length: single.total,
      ...state.constants,
      ...cachePorts(single.caches, "past"),
    };
    const own = { logits: single.logits, ...cachePorts(single.caches, "present") };
    const outputs = await this.#prefill.run(feeds, own);
    const others = Object.entries(outputs).filter(([name]) => !Object.hasOwn(own, name));
    state.lengths[row] = length;
    if (isShared) return Object.fromEntries(others);
    copyRow(runtime, state, row, "toRow");
    const bytes = single.logits.byteLength;
    runtime.copy(single.logits, state.rowLogits, { targetOffset: row * bytes, bytes });
    writeLengths(runtime, state);
    this.#mix?.();
    return Object.fromEntries(others);
  }

  async decode(): Promise<void> {
    await this.#decode.run();
    this.#mix?.();
  }

  async dispose(): Promise<void> {
    await this.#prefill.dispose();
    await this.#decode.dispose();
    for (const tensor of allTensors(this.#state)) tensor.dispose();
  }
}

/** What a graph over a cache of its own number of rows reads and writes. */
interface RowState {
  readonly caches: readonly LayerCache[];
  /** GroupQueryAttention's seqlens_k, i32 [rows]: tokens in the cache after the run, minus one. */
  readonly lastIndex: Tensor;
  /** i32 [1]: the longest row. */
  readonly total: Tensor;
  readonly logits: Tensor;
}

interface CoreState extends RowState {
  readonly constants: Readonly<Record<string, Tensor>>;
  /** What the decode graph writes: the mixed logits themselves where there is one row. */
  readonly rowLogits: Tensor;
  readonly token: Tensor;
  /** What the prefill works on: with one row the same tensors. */
  readonly single: RowState;
  readonly lengths: number[];
}

async function createState(runtime: Runtime, options: CachedCoreOptions): Promise<CoreState> {
  const rows = options.weights?.length ?? 1;
  const ids = Number(options.decode.outputs.find(({ name }) => name === "logits")?.shape.at(-1));
  const rowLogits = await runtime.createStableTensor("f32", [rows, 1, ids]);
  const shared: RowState = {
    caches: await createLayerCaches(runtime, options, rows),
    lastIndex: runtime.createTensor("i32", [rows]),
    total: runtime.createTensor("i32", [1]),
    logits: rows === 1 ? rowLogits : runtime.createTensor("f32", [1, 1, ids]),
  };
  const single: RowState =
    rows === 1
      ? shared
      : {
          caches: await createLayerCaches(runtime, options, 1),
          lastIndex: runtime.createTensor("i32", [1]),
          total: runtime.createTensor("i32", [1]),
          logits: await runtime.createStableTensor("f32", [1, 1, ids]),
        };
  const token = runtime.createTensor("i32", [1, 1]);
  const lengths = Array.from({ length: rows }, () => 1);
  return { ...shared, constants: options.constants, rowLogits, token, single, lengths };
}

function writeLengths(runtime: Runtime, { lastIndex, total, lengths }: CoreState): void {
  runtime.write(
    lastIndex,
    Int32Array.from(lengths, (length) => length - 1),
  );
  runtime.write(total, Int32Array.of(Math.max(...lengths)));
}

function copyRow(
  runtime: Runtime,
  { caches, single }: CoreState,
  row: number,
  direction: "fromRow" | "toRow",
): void {
  caches.forEach((cache, layer) => {
    const one = present(single.caches[layer], `cache ${layer}`);
    for (const part of ["key", "value"] as const) {
      const bytes = one[part].byteLength;
      const offset = row * bytes;
      if (direction === "toRow") {
        runtime.copy(one[part], cache[part], { targetOffset: offset, bytes });
      } else {
        runtime.copy(cache[part], one[part], { sourceOffset: offset, bytes });
      }
    }
  });
}

function allTensors({ constants, single, ...state }: CoreState): Set<Tensor> {
  const ofRows = ({ caches, lastIndex, total, logits }: RowState): Tensor[] => [
    ...caches.flatMap(({ key, value }) => [key, value]),
    lastIndex,
    total,
    logits,
  ];
  return new Set([
    ...ofRows(state),
    ...ofRows(single),
    state.rowLogits,
    state.token,
    ...Object.values(constants),
  ]);
}
