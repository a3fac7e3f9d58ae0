// Janus draws: codes of one picture, each picked from the mixed logits of the prompt and of padding in its
// place, then painted by the VQ decoder.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/generation_inference.py#L56-L118
import { present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { CachedCore } from "../../tokens/cached-core.ts";
import { CodeDrawing } from "../../tokens/code-drawing.ts";
import type { DrawDefaults, DrawRequest, StageContext } from "../family.ts";
import { GrowingCore } from "../growing-core.ts";
import { embedGraph } from "../llama-graphs.ts";
import { embedIds } from "../prompt-embeddings.ts";
import { readPicture } from "../read-picture.ts";
import { checkCodeDrawing, checkDrawingRoom } from "../request-limits.ts";
import { codesPerPicture, type JanusConfig } from "./config.ts";
import { decodeGraph, prefillGraph } from "./core.ts";
import { pictureGraph } from "./picture.ts";
import { conditionalIds, unconditionalIds, type JanusTokens } from "./prompt.ts";

// The reference's: the whole distribution as it is.
const SAMPLING = { temperature: 1, topK: 0, topP: 1 };

/** A prompt and its part in the guidance. */
interface GuidedRow {
  readonly ids: readonly number[];
  readonly weight: number;
}

/** The drawing half of a Janus model. */
export class JanusDrawer {
  readonly #context: StageContext<JanusConfig>;
  readonly #tokens: JanusTokens;
  readonly #embed: Session;
  readonly #picture: Session;
  readonly #core: GrowingCore;

  private constructor(
    context: StageContext<JanusConfig>,
    tokens: JanusTokens,
    embed: Session,
    picture: Session,
  ) {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    this.#context = context;
    this.#tokens = tokens;
    this.#embed = embed;
    this.#picture = picture;
    this.#core = new GrowingCore(runtime, weights.tensors, {
      language: config.language,
      vocabularySize: config.codebook.codes,
      graphs: (size) => ({
        prefill: prefillGraph(config, size.capacity, options),
        decode: decodeGraph(config, size, options),
      }),
    });
  }

  /** Compiles the decoder and the loop with guidance; weights must be loaded. */
  static async create(
    context: StageContext<JanusConfig>,
    tokens: JanusTokens,
  ): Promise<JanusDrawer> {
    const { config, runtime, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const embed = await runtime.createSession(embedGraph(config, options), weights.tensors);
    const picture = await runtime.createSession(pictureGraph(config, options), weights.tensors);
    const drawer = new JanusDrawer(context, tokens, embed, picture);
    await drawer.#core.open(codesPerPicture(config), [1, 0]);
    return drawer;
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): GrowingCore["capture"] {
    return this.#core.capture;
  }

  async prepare(request: DrawRequest, signal?: AbortSignal): Promise<Drawing> {
    const { runtime, config } = this.#context;
    checkCodeDrawing(request, drawDefaults(config));
    const { seed, guidance } = request;
    const rows = this.#rows(request);
    const longest = Math.max(...rows.map(({ ids }) => ids.length));
    const picture = codesPerPicture(config);
    const { maxPositions } = config.language;
    checkDrawingRoom({ prompt: longest, picture, maxPositions });
    const core = await this.#core.open(
      longest + picture,
      rows.map(({ weight }) => weight),
    );
    await this.#fill(core, rows, "all", signal);
    let isFresh = true;
    return new CodeDrawing(runtime, {
      grid: config.grid,
      sampling: { ...SAMPLING, seed },
      guidance,
      begin: async (beginSignal) => {
        // Behind a drawn picture the caches still hold the prompts.
        if (!isFresh) await this.#fill(core, rows, "last", beginSignal);
        isFresh = false;
        return core;
      },
      decode: async (ids: Tensor) => {
        const { image } = await this.#picture.run({ ids });
        return readPicture(runtime, present(image, "image"), "truncate");
      },
    });
  }

  async dispose(): Promise<void> {
    await this.#embed.dispose();
    await this.#picture.dispose();
    await this.#core.dispose();
  }

  /** logits = unconditional + guidance (conditional - unconditional). */
  #rows({ prompt, negativePrompt, guidance }: DrawRequest): GuidedRow[] {
    const ids = conditionalIds(prompt, this.#tokens);
    if (guidance === 1) return [{ ids, weight: 1 }];
    const other =
      negativePrompt === undefined
        ? unconditionalIds(ids, this.#tokens)
        : conditionalIds(negativePrompt, this.#tokens);
    return [
      { ids, weight: guidance },
      { ids: other, weight: 1 - guidance },
    ];
  }

  /** @param part - all of every prompt, or its last token where the rest is in the cache */
  async #fill(
    core: CachedCore,
    rows: readonly GuidedRow[],
    part: "all" | "last",
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { runtime } = this.#context;
    for (const [row, { ids }] of rows.entries()) {
      signal?.throwIfAborted();
      const from = part === "all" ? 0 : ids.length - 1;
      const embeddings = await embedIds(runtime, this.#embed, ids.slice(from));
      await core.prefill(embeddings, { row, from });
      embeddings.dispose();
    }
  }
}

/** The numbers of the reference's generate(); a picture has as many steps as codes. */
export function drawDefaults(config: JanusConfig): DrawDefaults {
  const { imageSize: size } = config;
  return { width: size, height: size, steps: codesPerPicture(config), guidance: config.guidance };
}
