// Contexts of ids on the device: what a writer answers behind, and what a drawer is guided by.
import { present } from "../../base/assert.ts";
import type { Session } from "../../session/runtime.ts";
import type { CachedCore } from "../../tokens/cached-core.ts";
import type { StageContext } from "../family.ts";
import { GrowingCore } from "../growing-core.ts";
import { embedIds } from "../prompt-embeddings.ts";
import type { ChameleonConfig } from "./config.ts";
import { decodeGraph, prefillGraph } from "./core.ts";

/** Where ids go. */
export interface FillOptions {
  readonly row?: number;
  /** Ids at the beginning that the row holds already. */
  readonly from?: number;
}

/** One cached core at a time, and the table that its ids go through. */
export class Contexts {
  readonly #context: StageContext<ChameleonConfig>;
  readonly #embed: Session;
  readonly #cores: GrowingCore;
  #core: CachedCore | undefined;

  /** @param embed - {@link embedGraph}, compiled; stays the caller's */
  constructor(context: StageContext<ChameleonConfig>, embed: Session) {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    this.#context = context;
    this.#embed = embed;
    this.#cores = new GrowingCore(runtime, weights.tensors, {
      language: config.language,
      vocabularySize: config.language.vocabularySize,
      graphs: (size) => ({
        prefill: prefillGraph(config, size.capacity, options),
        decode: decodeGraph(config, size, options),
      }),
    });
  }

  /** Does the decode loop replay a captured command list; undefined before the first `open`. */
  get capture(): CachedCore["capture"] | undefined {
    return this.#core?.capture;
  }

  /** The core; `open` comes first. */
  get core(): CachedCore {
    return present(this.#core, "core");
  }

  /**
   * Makes room for one context for each weight, of this many slots each.
   *
   * @returns true when what was filled in is still there
   */
  async open(weights: readonly number[], slots: number): Promise<boolean> {
    const before = this.#core;
    this.#core = undefined;
    this.#core = await this.#cores.open(slots, weights);
    return this.#core === before;
  }

  /** Fills a row with ids; those before `from` are in its cache already. Logits are those behind the last. */
  async fill(ids: readonly number[], { row = 0, from = 0 }: FillOptions = {}): Promise<void> {
    const embeddings = await embedIds(this.#context.runtime, this.#embed, ids.slice(from));
    await this.core.prefill(embeddings, { row, from });
    embeddings.dispose();
  }

  dispose(): Promise<void> {
    this.#core = undefined;
    return this.#cores.dispose();
  }
}
