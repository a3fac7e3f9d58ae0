// Pisces draws in two stages that may take turns on the device: the core imagines vectors, UNet and VAE paint
// them.
import type { Drawing } from "../../base/drawing.ts";
import { eulerDiscreteSchedule } from "../../flow/euler-discrete.ts";
import { firstNoise } from "../../flow/noise.ts";
import type { ResidentStage } from "../../session/residency.ts";
import type { Tensor } from "../../session/runtime.ts";
import type { DrawDefaults, DrawRequest, DrawStage } from "../family.ts";
import { checkDrawingRoom } from "../request-limits.ts";
import type { PiscesConfig } from "./config.ts";
import type { PiscesImaginer } from "./imaginer.ts";
import type { PiscesPainter } from "./painter.ts";
import { drawingPrompt, type PiscesTokens } from "./prompt.ts";
import { latentShape } from "./velocity.ts";

/** The stages of a drawing. */
export interface DrawerStages {
  readonly imagine: ResidentStage<PiscesImaginer>;
  readonly paint: ResidentStage<PiscesPainter>;
}

const MAX_SIDE = 4096;

/** The drawing half of a Pisces model. */
export class PiscesDrawer implements DrawStage {
  readonly maxImages = 0;
  readonly #config: PiscesConfig;
  readonly #tokens: PiscesTokens;
  readonly #stages: DrawerStages;
  /** Vectors of the empty caption: they depend on the checkpoint alone. */
  #empty: Tensor | undefined;

  constructor(config: PiscesConfig, tokens: PiscesTokens, stages: DrawerStages) {
    this.#config = config;
    this.#tokens = tokens;
    this.#stages = stages;
  }

  defaults(): DrawDefaults {
    const { imageSize, steps, guidance } = this.#config;
    return { width: imageSize, height: imageSize, steps, guidance };
  }

  async prepare(request: DrawRequest, signal?: AbortSignal): Promise<Drawing> {
    this.#check(request);
    const { prompt, negativePrompt = "", guidance } = request;
    const captions = guidance === 1 ? [prompt] : [prompt, negativePrompt];
    const rows: Tensor[] = [];
    try {
      for (const caption of captions) rows.push(await this.#imagine(caption, signal));
      const painter = await this.#stages.paint.enter(signal);
      signal?.throwIfAborted();
      return await painter.prepare(request, rows);
    } finally {
      for (const row of rows) if (row !== this.#empty) row.dispose();
    }
  }

  /** Frees what outlives a drawing. */
  dispose(): void {
    this.#empty?.dispose();
    this.#empty = undefined;
  }

  /** Vectors of a caption; those of the empty one are kept. */
  async #imagine(caption: string, signal: AbortSignal | undefined): Promise<Tensor> {
    const isEmpty = caption.trim() === "";
    if (isEmpty && this.#empty !== undefined) return this.#empty;
    const imaginer = await this.#stages.imagine.enter(signal);
    const vectors = await imaginer.imagine(drawingPrompt(caption, this.#tokens), signal);
    if (isEmpty) this.#empty = vectors;
    return vectors;
  }

  /** @throws RangeError for a size, steps, latents or captions that the model cannot do */
  #check(request: DrawRequest): void {
    const { width, height, steps, prompt, negativePrompt = "" } = request;
    const { latentScale, unet, scheduler, language, vectors } = this.#config;
    const unit = latentScale * 2 ** (unet.blockOutChannels.length - 1);
    const fits = (side: number): boolean => side >= unit && side <= MAX_SIDE && side % unit === 0;
    if (!fits(width) || !fits(height)) {
      throw new RangeError(
        `Width and height must be multiples of ${unit} from ${unit} to ${MAX_SIDE}, got ${width} x ${height}.`,
      );
    }
    eulerDiscreteSchedule(steps, scheduler);
    firstNoise(request, latentShape(this.#config, request));
    for (const caption of [prompt, negativePrompt]) {
      const length = drawingPrompt(caption, this.#tokens).length;
      const { maxPositions } = language;
      checkDrawingRoom({ prompt: length, picture: vectors, maxPositions });
    }
  }
}
