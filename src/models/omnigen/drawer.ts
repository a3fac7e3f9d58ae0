// OmniGen draws: from text, and from text and pictures, which are parts of the prompt. Editing, drawing a
// subject of a picture, and examples in context are all the same: tags in the prompt say where pictures stand.
import { present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import { FlowDrawing } from "../../flow/flow-drawing.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { StageContext } from "../family.ts";
import { embedGraph } from "../llama-graphs.ts";
import { readPicture } from "../read-picture.ts";
import { Recent } from "../recent.ts";
import type { OmniGenConfig } from "./config.ts";
import { createField, type OmniGenField, type PromptRow } from "./field.ts";
import { decoderGraph, type LatentSize } from "./latents.ts";
import type { DrawingPlan } from "./plan.ts";
import type { PromptPart } from "./prompt.ts";

// Compiled sizes that are kept. A field holds the keys and values of its prompts, so two are many.
const KEPT_SIZES = 2;

/** The core, as a velocity field of any size, and the decoder. */
export class OmniGenDrawer {
  readonly #context: StageContext<OmniGenConfig>;
  readonly #embed: Session;
  readonly #fields = new Recent<OmniGenField>(KEPT_SIZES);
  readonly #decoders = new Recent<Session>(KEPT_SIZES);

  private constructor(context: StageContext<OmniGenConfig>, embed: Session) {
    this.#context = context;
    this.#embed = embed;
  }

  /** Compiles what does not depend on sizes; weights must be loaded. */
  static async create(context: StageContext<OmniGenConfig>): Promise<OmniGenDrawer> {
    const { config, runtime, weights, quantization } = context;
    const graph = embedGraph(config, { float: runtime.float, quantization });
    return new OmniGenDrawer(context, await runtime.createSession(graph, weights.tensors));
  }

  /** Does the loop of the latest size replay a captured command list; undefined before the first one. */
  get capture(): OmniGenField["capture"] | undefined {
    return this.#fields.latest?.capture;
  }

  /**
   * Fills in the prompts of a plan.
   *
   * @param features - of the request's pictures, [1, tokens, hidden] each; stay the caller's
   */
  async prepare(
    { size, rows, prefix, ...plan }: DrawingPlan,
    features: readonly Tensor[],
    signal?: AbortSignal,
  ): Promise<Drawing> {
    const { runtime } = this.#context;
    const shape = { rows: rows.length, prefix, size };
    const field = await this.#fields.get([shape.rows, prefix, ...size].join(), () =>
      createField(this.#context, shape),
    );
    signal?.throwIfAborted();
    const filled = rows.map(({ parts }) => promptRow(parts, features));
    await field.fill(filled, this.#embed, signal);
    const decoder = await this.#decoders.get(size.join(), () => this.#compileDecoder(size));
    return new FlowDrawing(runtime, {
      ...plan,
      field,
      weights: rows.map(({ weight }) => weight),
      decode: async () => {
        const { image } = await decoder.run({ latents: field.latents });
        return readPicture(runtime, present(image, "image"), "truncate");
      },
    });
  }

  async dispose(): Promise<void> {
    await this.#embed.dispose();
    await this.#fields.dispose();
    await this.#decoders.dispose();
  }

  #compileDecoder(size: LatentSize): Promise<Session> {
    const { runtime, config, weights, quantization } = this.#context;
    return runtime.createSession(decoderGraph(config, size, { quantization }), weights.tensors);
  }
}

// Slots of pictures have id 0, as the reference's placeholders do.
function promptRow(parts: readonly PromptPart[], features: readonly Tensor[]): PromptRow {
  const ids: number[] = [];
  const pictures: (readonly [first: number, end: number])[] = [];
  const embedded = parts.map((part) => {
    if (part.kind === "ids") {
      ids.push(...part.ids);
      return part;
    }
    const tensor = present(features[part.picture], "picture");
    const slots = tensor.shape[1] ?? 0;
    pictures.push([ids.length, ids.length + slots]);
    ids.push(...Array<number>(slots).fill(0));
    return { kind: "features" as const, features: tensor };
  });
  return { ids, start: ids.length, pictures, parts: embedded };
}
