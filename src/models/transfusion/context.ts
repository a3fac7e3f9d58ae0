// The contexts of one model on the device: what was said in them lies in key/value caches. Text is written in
// the first; the second holds what guidance compares with. A cache grows by slots of text and of finished
// pictures in one run, or by one token.
import { present } from "../../base/assert.ts";
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { Runtime, Session, Tensor } from "../../session/runtime.ts";
import type { TokenCore } from "../../tokens/generate-tokens.ts";
import { cachePorts, createLayerCaches, type LayerCache } from "../../tokens/layer-caches.ts";
import type { StageContext } from "../family.ts";
import { floatTensor, writeFloats } from "../floats.ts";
import { writeEmbeddings, type EmbeddingPart } from "../prompt-embeddings.ts";
import type { TransfusionConfig } from "./config.ts";
import { decodeGraph, embedGraph, extendGraph } from "./graphs.ts";
import { layOut, ropeRows, slotBias, type SlotLayout } from "./layout.ts";
import { vocabularySize } from "./prompt.ts";

/** What a context is made of: ids, and pictures as the transformer takes them, [1, slots, dim], the caller's. */
export type ContextPart = EmbeddingPart;

// Contexts grow in steps of this many slots, so that most find compiled loops.
const CAPACITY_STEP = 128;

/** Slots that contexts are compiled for where so many are needed. */
export function contextCapacity(slots: number): number {
  return Math.ceil(slots / CAPACITY_STEP) * CAPACITY_STEP;
}

/** Slots of parts together. */
export function slotsOf(parts: readonly ContextPart[]): number {
  return parts.reduce((sum, part) => sum + slotCount(part), 0);
}

/** One context. */
export interface ContextRow {
  /** Key and value of every layer, [1, heads, capacity, head size]. */
  readonly caches: readonly LayerCache[];
  /** Slots that are filled. */
  length: number;
  /** Position of the next slot. */
  next: number;
}

interface Row extends ContextRow {
  readonly lastIndex: Tensor;
  readonly total: Tensor;
  readonly logits: Tensor;
  readonly rope: { readonly cos: Tensor; readonly sin: Tensor };
  /** Position of each filled slot. */
  positions: number[];
}

/** Contexts of a fixed capacity. */
export class Contexts implements TokenCore {
  readonly capacity: number;
  readonly vocabularySize: number;
  readonly logits: Tensor;
  readonly token: Tensor;
  readonly advance: readonly Tensor[];
  readonly #context: StageContext<TransfusionConfig>;
  readonly #embed: Session;
  readonly #extend: Session;
  readonly #decode: LoopSession;
  readonly #rows: Row[];

  private constructor(
    context: StageContext<TransfusionConfig>,
    capacity: number,
    row: Row,
    token: Tensor,
    sessions: { embed: Session; extend: Session; decode: LoopSession },
  ) {
    this.#context = context;
    this.capacity = capacity;
    this.vocabularySize = vocabularySize(context.config);
    this.logits = row.logits;
    this.token = token;
    this.advance = [row.lastIndex, row.total];
    this.#rows = [row];
    this.#embed = sessions.embed;
    this.#extend = sessions.extend;
    this.#decode = sessions.decode;
  }

  /** Compiles the graphs; the decode loop is captured and proven where the device can. */
  static async create(
    context: StageContext<TransfusionConfig>,
    capacity: number,
  ): Promise<Contexts> {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const row = await createRow(runtime, config, capacity);
    const token = runtime.createTensor("i32", [1, 1]);
    const embed = await runtime.createSession(embedGraph(config, options), weights.tensors);
    const graph = extendGraph(config, capacity, options);
    const extend = await runtime.createSession(graph, weights.tensors);
    const { feeds, fetches } = rowPorts(row);
    const decode = await createLoopSession(runtime, {
      graph: decodeGraph(config, capacity, options),
      weights: weights.tensors,
      feeds: { token, ...feeds },
      fetches,
      freeFeeds: ["token"],
    });
    return new Contexts(context, capacity, row, token, { embed, extend, decode });
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return this.#decode;
  }

  /** The first `count` contexts. */
  async rows(count: number): Promise<readonly ContextRow[]> {
    const { runtime, config } = this.#context;
    while (this.#rows.length < count) {
      this.#rows.push(await createRow(runtime, config, this.capacity));
    }
    return this.#rows.slice(0, count);
  }

  /** Empties a context and fills it with parts. */
  async fill(index: number, parts: readonly ContextPart[], signal?: AbortSignal): Promise<void> {
    await this.rows(index + 1);
    const row = present(this.#rows[index], "row");
    row.length = 0;
    row.next = 0;
    row.positions = [];
    await this.append(index, parts, signal);
  }

  /** Puts parts behind what a context holds; its logits are those of the last slot. */
  async append(index: number, parts: readonly ContextPart[], signal?: AbortSignal): Promise<void> {
    const { runtime } = this.#context;
    const row = present(this.#rows[index], "row");
    const layout = layOut(
      parts.map((part) => ({ isPicture: part.kind === "features", slots: slotCount(part) })),
      row,
    );
    const embeddings = await this.#join(parts, signal);
    const added = layout.positions.length;
    this.#place(row, layout);
    const feeds = {
      embeddings,
      pictures: runtime.createTensor("f32", [1, added, 1], layout.pictures),
      bias: runtime.createTensor(
        "f32",
        [1, 1, added, this.capacity],
        slotBias(layout, this.capacity),
      ),
      positions: runtime.createTensor("i64", [1, added], slotNumbers(layout)),
      time: runtime.createTensor("f32", [1], Float32Array.of(1)),
    };
    const { feeds: own, fetches } = rowPorts(row);
    await this.#extend.run({ ...feeds, ...own }, fetches);
    for (const tensor of Object.values(feeds)) tensor.dispose();
  }

  /** Counts tokens that decoding has put into the first context's cache. */
  accept(count: number): void {
    const row = present(this.#rows[0], "row");
    for (let k = 0; k < count; k++) row.positions.push(row.next + k);
    row.length += count;
    row.next += count;
  }

  async decode(): Promise<void> {
    await this.#decode.run();
  }

  async dispose(): Promise<void> {
    await this.#embed.dispose();
    await this.#extend.dispose();
    await this.#decode.dispose();
    this.token.dispose();
    for (const { caches, lastIndex, total, logits, rope } of this.#rows) {
      const all = [lastIndex, total, logits, rope.cos, rope.sin];
      for (const { key, value } of caches) all.push(key, value);
      for (const tensor of all) tensor.dispose();
    }
  }

  /** Lengths and angles of a row as they are behind the new slots, and for tokens that follow. */
  #place(row: Row, { length, positions, next }: SlotLayout): void {
    const { runtime, config } = this.#context;
    row.positions.push(...positions);
    row.length = length;
    row.next = next;
    const left = Array.from({ length: this.capacity - length }, (_, k) => next + k);
    const { cos, sin } = ropeRows(config.transformer.headDim, [...row.positions, ...left]);
    writeFloats(runtime, row.rope.cos, cos);
    writeFloats(runtime, row.rope.sin, sin);
    runtime.write(row.lastIndex, Int32Array.of(length - 1));
    runtime.write(row.total, Int32Array.of(length));
  }

  async #join(parts: readonly ContextPart[], signal: AbortSignal | undefined): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const shape = [1, slotsOf(parts), config.transformer.dim];
    const tensor = runtime.createTensor(runtime.float, shape);
    try {
      await writeEmbeddings(runtime, this.#embed, parts, { tensor, signal });
    } catch (error) {
      tensor.dispose();
      throw error;
    }
    return tensor;
  }
}

function slotCount(part: ContextPart): number {
  return part.kind === "ids" ? part.ids.length : (part.features.shape[1] ?? 0);
}

function slotNumbers({ length, positions }: SlotLayout): BigInt64Array<ArrayBuffer> {
  const first = length - positions.length;
  return BigInt64Array.from(positions, (_, slot) => BigInt(first + slot));
}

async function createRow(
  runtime: Runtime,
  config: TransfusionConfig,
  capacity: number,
): Promise<Row> {
  const { depth, heads, headDim } = config.transformer;
  const sizes = { layers: depth, kvHeads: heads, headDim, capacity };
  const { cos, sin } = ropeRows(headDim, [...Array(capacity).keys()]);
  const table = [capacity, headDim / 2];
  return {
    caches: await createLayerCaches(runtime, sizes, 1),
    lastIndex: runtime.createTensor("i32", [1], Int32Array.of(0)),
    total: runtime.createTensor("i32", [1], Int32Array.of(1)),
    logits: await runtime.createStableTensor("f32", [1, 1, vocabularySize(config)]),
    rope: {
      cos: floatTensor(runtime, table, cos),
      sin: floatTensor(runtime, table, sin),
    },
    length: 0,
    next: 0,
    positions: [],
  };
}

function rowPorts({ caches, lastIndex, total, logits, rope }: Row): {
  feeds: Record<string, Tensor>;
  fetches: Record<string, Tensor>;
} {
  return {
    feeds: {
      seqlens_k: lastIndex,
      total_sequence_length: total,
      "rope.cos": rope.cos,
      "rope.sin": rope.sin,
      ...cachePorts(caches, "past"),
    },
    fetches: { logits, ...cachePorts(caches, "present") },
  };
}
