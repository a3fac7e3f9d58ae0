// A cached core that is compiled for as many slots as were needed so far, and again when more are.
import { present } from "../base/assert.ts";
import type { LlamaConfig } from "../graph/blocks/llama.ts";
import type { Graph } from "../graph/graph.ts";
import type { Runtime, Tensor, WeightTensors } from "../session/runtime.ts";
import { CachedCore } from "../tokens/cached-core.ts";
import { ropeTensors } from "./rope-tensors.ts";

/** Contexts of a cache and slots of each. */
export interface CacheSize {
  readonly rows: number;
  readonly capacity: number;
}

/** What a growing core is compiled from. */
export interface GrowingCoreParts {
  readonly language: LlamaConfig;
  /** Ids of the logits that may be picked. */
  readonly vocabularySize: number;
  /** The prefill graph of one row and the decode graph of all rows (tokens/cached-core.ts). */
  readonly graphs: (size: CacheSize) => { readonly prefill: Graph; readonly decode: Graph };
  /** What both graphs read of a cache of this many slots; default: the language's rope tables. */
  readonly constants?: (capacity: number) => Readonly<Record<string, Tensor>>;
}

// Caches grow in steps of this many slots, so that most prompts find a compiled loop.
const CAPACITY_STEP = 256;

/** Slots that a core is compiled for where so many are needed. */
export function coreCapacity(
  slots: number,
  { maxPositions }: Pick<LlamaConfig, "maxPositions">,
): number {
  return Math.min(Math.ceil(slots / CAPACITY_STEP) * CAPACITY_STEP, maxPositions);
}

/** One cached core at a time; a larger or wider one takes the place of the last. */
export class GrowingCore {
  readonly #runtime: Runtime;
  readonly #weights: WeightTensors;
  readonly #parts: GrowingCoreParts;
  #core: CachedCore | undefined;
  #rows = 0;

  constructor(runtime: Runtime, weights: WeightTensors, parts: GrowingCoreParts) {
    this.#runtime = runtime;
    this.#weights = weights;
    this.#parts = parts;
  }

  /** What was opened last; `open` comes first. */
  get core(): CachedCore {
    return present(this.#core, "core");
  }

  /** Does the decode loop replay a captured command list; `open` comes first. */
  get capture(): CachedCore["capture"] {
    return this.core.capture;
  }

  /**
   * The core with room for this many slots in each context. Fill every row that is used: what an earlier core
   * held is gone.
   *
   * @param guidance - one weight for each context; default one context as it is
   */
  async open(slots: number, guidance: readonly number[] = [1]): Promise<CachedCore> {
    if (this.#core && this.#rows === guidance.length && this.#core.capacity >= slots) {
      this.#core.setWeights(guidance);
      return this.#core;
    }
    const { language, vocabularySize, graphs } = this.#parts;
    const { constants = (size: number) => ropeTensors(this.#runtime, language, size) } =
      this.#parts;
    const capacity = coreCapacity(slots, language);
    await this.dispose();
    this.#core = await CachedCore.create(this.#runtime, this.#weights, {
      ...graphs({ rows: guidance.length, capacity }),
      layers: language.layers,
      kvHeads: language.kvHeads,
      headDim: language.headDim,
      vocabularySize,
      capacity,
      constants: constants(capacity),
      weights: guidance,
    });
    this.#rows = guidance.length;
    return this.#core;
  }

  async dispose(): Promise<void> {
    const core = this.#core;
    this.#core = undefined;
    await core?.dispose();
  }
}
