// The core on the device: what a prompt's parts become in the cache, and a picture that the core imagines.
import { present } from "../../base/assert.ts";
import { brokenNumbers } from "../../base/numerics.ts";
import type { Pixels } from "../../base/pixels.ts";
import type { Raster } from "../../pixels/resize.ts";
import { firstBroken } from "../../session/first-broken.ts";
import {
  FORBIDDEN_TOKEN,
  SEEN_TOKEN,
  type Runtime,
  type Session,
  type Tensor,
} from "../../session/runtime.ts";
import type { CachedCore } from "../../tokens/cached-core.ts";
import type { GraphOptions, StageContext } from "../family.ts";
import { floatTensor, keepOutputs, writeFloats } from "../floats.ts";
import { GrowingCore } from "../growing-core.ts";
import { decodeGraph, embedGraph } from "../llama-graphs.ts";
import { embedIds, writeEmbeddings, type EmbeddingPart } from "../prompt-embeddings.ts";
import type { NexusGenConfig } from "./config.ts";
import { imagineGraph, prefillGraph, slotGraph } from "./core.ts";
import { tokenGrid } from "./picture.ts";
import { mropeTables, slotPositions, slotsOf, type Stretch } from "./positions.ts";
import type { PromptPart } from "../prompt-parts.ts";
import type { NexusTokens } from "./prompt.ts";
import type { NexusVision } from "./vision.ts";

/** What the core reads: ids, a picture cut for the tower, or the slots of a picture that it draws. */
export type Piece =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly raster: Raster }
  | { readonly kind: "slots"; readonly first: number; readonly count: number };

/** Nexus-Gen's core with its cache. */
export class NexusLanguage {
  readonly tokens: NexusTokens;
  /** u32 [vocabulary]: what may be picked, and what the context holds. */
  readonly rules: Tensor;
  readonly #context: StageContext<NexusGenConfig>;
  readonly #vision: NexusVision;
  readonly #sessions: Sessions;
  readonly #cores: GrowingCore;
  /** Angles of the cache's slots: pictures turn by place, so that they change with every prompt. */
  #tables: RopeTables | undefined;

  private constructor(
    context: StageContext<NexusGenConfig>,
    tokens: NexusTokens,
    vision: NexusVision,
    sessions: Sessions,
  ) {
    this.#context = context;
    this.tokens = tokens;
    this.#vision = vision;
    this.#sessions = sessions;
    const { runtime, config, weights, quantization } = context;
    const { language } = config;
    const options: GraphOptions = { float: runtime.float, quantization };
    this.rules = runtime.createTensor("u32", [language.vocabularySize]);
    this.#cores = new GrowingCore(runtime, weights.tensors, {
      language,
      vocabularySize: language.vocabularySize,
      graphs: ({ capacity }) => ({
        prefill: prefillGraph(config, capacity, options),
        decode: decodeGraph(config, capacity, options),
      }),
      constants: (capacity) => (this.#tables = emptyTables(runtime, capacity, language.headDim)),
    });
  }

  /** Compiles the core; weights must be loaded. */
  static async create(
    context: StageContext<NexusGenConfig>,
    tokens: NexusTokens,
    vision: NexusVision,
  ): Promise<NexusLanguage> {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const sessions = {
      embed: await runtime.createSession(embedGraph(config, options), weights.tensors),
      imagine: await runtime.createSession(imagineGraph(config, options), weights.tensors),
      ...(config.hasPrefillTable && {
        slots: await runtime.createSession(slotGraph(config, options), weights.tensors),
      }),
    };
    const language = new NexusLanguage(context, tokens, vision, sessions);
    await language.reserve(1);
    return language;
  }

  /** The cache and its loops; those of another size after `reserve`. */
  get core(): CachedCore {
    return this.#cores.core;
  }

  /** The parts of a prompt as pieces, every picture resized by `resize`. */
  pieces(parts: readonly PromptPart[], resize: (pixels: Pixels) => Raster): Piece[] {
    return parts.map((part) =>
      part.kind === "ids" ? part : { kind: "picture", raster: resize(part.pixels) },
    );
  }

  /** How pieces lie in the cache; slots of a drawing are to be followed by the rest of it. */
  stretches(pieces: readonly Piece[]): Stretch[] {
    return pieces.map((piece): Stretch => {
      if (piece.kind === "ids") return { kind: "text", slots: piece.ids.length };
      if (piece.kind === "slots") return this.drawn;
      return { kind: "seen", grid: tokenGrid(piece.raster, this.#context.config.vision) };
    });
  }

  /** How a drawn picture lies in the cache. */
  get drawn(): Stretch {
    const { grid } = this.#context.config;
    return { kind: "drawn", grid: { rows: grid, columns: grid } };
  }

  /** A cache of at least this many slots; replaces a smaller one. */
  async reserve(slots: number): Promise<void> {
    await this.#cores.open(slots);
  }

  /** A cache that holds pieces and `more` slots behind them. */
  reserveFor(pieces: readonly Piece[], more: number): Promise<void> {
    return this.reserve(slotsOf(this.stretches(pieces)) + more);
  }

  /**
   * Runs pieces behind the first `from` slots of the cache.
   *
   * @param layout - the whole cache from its first slot on; text follows it
   * @returns hidden states [1, slots of the pieces, hidden], the caller's
   */
  async extend(
    pieces: readonly Piece[],
    { from, layout }: { readonly from: number; readonly layout: readonly Stretch[] },
    signal?: AbortSignal,
  ): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const { capacity } = this.core;
    const { cos, sin } = mropeTables(slotPositions(layout, capacity), config);
    const tables = present(this.#tables, "tables");
    writeFloats(runtime, tables["rope.cos"], cos);
    writeFloats(runtime, tables["rope.sin"], sin);
    const length = pieces.reduce((sum, piece) => sum + this.#slotsOf(piece), 0);
    const tensor = runtime.createTensor(runtime.float, [1, length, config.language.hiddenSize]);
    const parts: EmbeddingPart[] = [];
    try {
      for (const piece of pieces) {
        signal?.throwIfAborted();
        parts.push(await this.#embed(piece));
      }
      await writeEmbeddings(runtime, this.#sessions.embed, parts, { tensor, signal });
      const { hidden } = await this.core.prefill(tensor, { from });
      return present(hidden, "hidden states");
    } finally {
      tensor.dispose();
      for (const part of parts) if (part.kind === "features") part.features.dispose();
    }
  }

  /**
   * The picture that follows a prompt, whose last id begins it: embeddings f32 [1, grid * grid, hidden]. One
   * pass: what the core reads at a picture's slots is the same for all pictures.
   *
   * @throws ModelError numerics with the first embedding that holds no numbers: the decoder's steps come later
   * @see https://github.com/modelscope/Nexus-Gen/blob/fb49ff5/modeling/ar/modeling_qwen2_5_vl.py#L1943
   */
  async imagine(
    pieces: readonly Piece[],
    { from, before }: { readonly from: number; readonly before: readonly Stretch[] },
    signal?: AbortSignal,
  ): Promise<Tensor> {
    const count = this.#context.config.grid ** 2 - 1;
    const layout = [...before, this.drawn];
    const slots: Piece = { kind: "slots", first: 0, count };
    const hidden = await this.extend([...pieces, slots], { from, layout }, signal);
    // Another stage reads them, for which this one may have to leave.
    const { embeddings } = keepOutputs(
      this.#context.runtime,
      await this.#sessions.imagine.run({ hidden }),
    );
    hidden.dispose();
    const imagined = present(embeddings, "embeddings");
    await this.#check(imagined);
    return imagined;
  }

  /** Says which ids the context holds and which must not be picked. */
  setRules(seen: readonly number[], forbidden: readonly number[]): void {
    const { runtime, config } = this.#context;
    const rules = new Uint32Array(config.language.vocabularySize);
    for (const id of seen) rules[id] = SEEN_TOKEN;
    for (const id of forbidden) rules[id] = (rules[id] ?? 0) | FORBIDDEN_TOKEN;
    runtime.write(this.rules, rules);
  }

  /** Ids of pieces as the reference's processor writes them: a picture is one image token for each slot. */
  idsOf(pieces: readonly Piece[]): number[] {
    return pieces.flatMap((piece) =>
      piece.kind === "ids"
        ? [...piece.ids]
        : Array(this.#slotsOf(piece)).fill(this.tokens.imagePad),
    );
  }

  async dispose(): Promise<void> {
    for (const session of Object.values(this.#sessions)) await session?.dispose();
    await this.#cores.dispose();
    this.rules.dispose();
  }

  async #check(embeddings: Tensor): Promise<void> {
    const { runtime, config } = this.#context;
    const place = await firstBroken(runtime, embeddings).catch((error: unknown) => {
      embeddings.dispose();
      throw error;
    });
    if (place === undefined) return;
    embeddings.dispose();
    const embedding = Math.floor(place / config.language.hiddenSize) + 1;
    const what = `Embedding ${embedding} of the imagined picture holds what is no number`;
    throw brokenNumbers(what, { embedding });
  }

  #slotsOf(piece: Piece): number {
    return piece.kind === "slots" ? piece.count : slotsOf(this.stretches([piece]));
  }

  async #embed(piece: Piece): Promise<EmbeddingPart> {
    if (piece.kind === "ids") return piece;
    if (piece.kind === "picture") {
      return { kind: "features", features: await this.#vision.see(piece.raster) };
    }
    const { slots } = this.#sessions;
    if (slots === undefined) return { kind: "ids", ids: this.idsOf([piece]) };
    const rows = Array.from({ length: piece.count }, (_, k) => piece.first + k);
    return { kind: "features", features: await embedIds(this.#context.runtime, slots, rows) };
  }
}

type RopeTables = Readonly<Record<"rope.cos" | "rope.sin", Tensor>>;

function emptyTables(runtime: Runtime, slots: number, headDim: number): RopeTables {
  const shape = [slots, headDim / 2];
  const zeros = new Float32Array(slots * (headDim / 2));
  return {
    "rope.cos": floatTensor(runtime, shape, zeros),
    "rope.sin": floatTensor(runtime, shape, zeros),
  };
}

interface Sessions {
  readonly embed: Session;
  readonly imagine: Session;
  /** V2's table of what is read while drawing. */
  readonly slots?: Session;
}
