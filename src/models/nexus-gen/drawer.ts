// Nexus-Gen draws and edits: the core imagines the picture as a grid of embeddings, a decoder paints it.
import { present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import type { Pixels } from "../../base/pixels.ts";
import { FlowDrawing, rowWeights } from "../../flow/flow-drawing.ts";
import { firstNoise } from "../../flow/noise.ts";
import { eulerSchedule, MAX_STEPS, type Schedule } from "../../flow/schedule.ts";
import type { ResidentStage } from "../../session/residency.ts";
import type { Runtime, Tensor } from "../../session/runtime.ts";
import type { DrawDefaults, DrawRequest, DrawStage } from "../family.ts";
import { keepOutputs } from "../floats.ts";
import { checkDrawingRoom } from "../request-limits.ts";
import type { NexusGenConfig } from "./config.ts";
import { sigmas } from "./decoder.ts";
import type { NexusCore } from "./stages.ts";
import type { NexusPainter, RowEmbeddings } from "./painter.ts";
import { slotsOf } from "./positions.ts";
import { drawingPrompt } from "./prompt.ts";
import type { Modulated, NexusTimes } from "./times.ts";
import { editRaster, sourceRaster } from "./vision.ts";

/** What a picture is painted from: embeddings of both rows, and the edited picture's features. */
export interface Imagined {
  readonly rows: readonly RowEmbeddings[];
  readonly source?: Tensor;
}

/** How a picture is painted. */
export type PaintRequest = Pick<
  DrawRequest,
  "width" | "height" | "steps" | "guidance" | "seed" | "count" | "latents"
>;

/** The two stages of a decoder. */
export interface DecoderStages {
  readonly times: ResidentStage<NexusTimes>;
  readonly painter: ResidentStage<NexusPainter>;
}

/** The stages that drawing goes through; they may have to take turns on the device. */
export interface DrawerStages {
  readonly core: ResidentStage<NexusCore>;
  readonly generation: DecoderStages;
  readonly editing?: DecoderStages;
}

/** The drawing half of a Nexus-Gen model. */
export class NexusDrawer implements DrawStage {
  readonly maxImages = 1;
  readonly #runtime: Runtime;
  readonly #config: NexusGenConfig;
  readonly #stages: DrawerStages;
  /** Modulations of the last number of steps, which most drawings share. */
  readonly #modulated = new Map<DecoderStages, Modulated>();

  constructor(runtime: Runtime, config: NexusGenConfig, stages: DrawerStages) {
    this.#runtime = runtime;
    this.#config = config;
    this.#stages = stages;
  }

  // The scripts' own: guidance 3, but 1 with V2's decoder of edits.
  defaults(images: readonly Pixels[]): DrawDefaults {
    const { width, height, steps, editing } = this.#config;
    const guidance = images.length > 0 && editing !== undefined ? 1 : this.#config.guidance;
    return { width, height, steps, guidance };
  }

  async prepare(request: DrawRequest, signal?: AbortSignal): Promise<Drawing> {
    this.check(request);
    const imagined = await this.#imagine(request, signal);
    try {
      return await this.paint(imagined, request, signal);
    } finally {
      for (const row of imagined.rows) row?.dispose();
      imagined.source?.dispose();
    }
  }

  /** @throws RangeError for what no picture can be painted with */
  check(request: PaintRequest): void {
    this.#latentShape(request);
    scheduleOf(request.steps);
  }

  /** The drawing of what was imagined. */
  async paint(
    { rows, source }: Imagined,
    request: PaintRequest,
    signal?: AbortSignal,
  ): Promise<Drawing> {
    const { generation, editing } = this.#stages;
    const latentShape = this.#latentShape(request);
    const noise = firstNoise(request, latentShape);
    const { guidance } = request;
    const stages = source === undefined ? generation : (editing ?? generation);
    const modulated = await this.#modulate(stages, request.steps, signal);
    const painter = await stages.painter.enter(signal);
    const field = await painter.fieldOf(latentShape, rows, source, modulated);
    return new FlowDrawing(this.#runtime, {
      field,
      schedule: scheduleOf(request.steps),
      guidance,
      weights: rowWeights(guidance),
      latentShape,
      noise,
      decode: () => painter.decode(field),
    });
  }

  /** Frees what is kept from drawing to drawing. */
  dispose(): void {
    for (const modulated of this.#modulated.values()) release(modulated);
    this.#modulated.clear();
  }

  async #modulate(stages: DecoderStages, steps: number, signal?: AbortSignal): Promise<Modulated> {
    const known = this.#modulated.get(stages);
    if (known?.steps === steps) return known;
    const times = await stages.times.enter(signal);
    const modulated = await times.modulate(sigmas(steps).slice(0, steps));
    this.#modulated.set(stages, modulated);
    // The field that read the old ones is not run again: their id is in its key.
    if (known !== undefined) release(known);
    return modulated;
  }

  async #imagine(
    { prompt, negativePrompt, guidance, images }: DrawRequest,
    signal?: AbortSignal,
  ): Promise<Imagined> {
    const config = this.#config;
    const { language, vision } = await this.#stages.core.enter(signal);
    const [picture] = images;
    const imagine = async (text: string): Promise<Tensor> => {
      const parts = drawingPrompt(text, picture, language.tokens);
      const pieces = language.pieces(parts, (pixels) => editRaster(pixels, config));
      const before = language.stretches(pieces);
      this.#checkRoom(slotsOf(before));
      await language.reserveFor(pieces, config.grid ** 2);
      return language.imagine(pieces, { from: 0, before }, signal);
    };
    const rows: RowEmbeddings[] = [await imagine(prompt)];
    // The reference encodes a negative prompt with T5; here the core imagines it, like the prompt.
    if (guidance !== 1) {
      rows.push(negativePrompt === undefined ? undefined : await imagine(negativePrompt));
    }
    if (picture === undefined || config.editing === undefined) return { rows };
    const features = await vision.see(sourceRaster(picture, config));
    return {
      rows,
      source: present(keepOutputs(this.#runtime, { features })["features"], "source"),
    };
  }

  #checkRoom(slots: number): void {
    const { grid, language } = this.#config;
    const { maxPositions } = language;
    checkDrawingRoom({ prompt: slots, picture: grid ** 2, maxPositions });
  }

  #latentShape({ width, height }: PaintRequest): [number, number, number] {
    const { vae } = this.#config;
    const factor = 2 ** (vae.blockOutChannels.length - 1);
    // two latents along a side are one token of the decoder
    const step = factor * 2;
    if (width % step !== 0 || height % step !== 0 || width < step || height < step) {
      throw new RangeError(
        `This model draws pictures whose sides are multiples of ${step} pixels, got ${width} x ${height}.`,
      );
    }
    return [vae.latentChannels, height / factor, width / factor];
  }
}

function scheduleOf(steps: number): Schedule {
  if (!Number.isInteger(steps) || steps < 1 || steps > MAX_STEPS) {
    throw new RangeError(`steps must be an integer from 1 to ${MAX_STEPS}, got ${steps}.`);
  }
  // The field reads the number of the step: its modulations are known for every one.
  const times = Float32Array.from({ length: steps }, (_, step) => step);
  return eulerSchedule(sigmas(steps), { times });
}

function release({ tables }: Modulated): void {
  for (const tensor of Object.values(tables)) tensor.dispose();
}
