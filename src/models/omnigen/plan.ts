// What a request comes to, in numbers, before anything is on the device: sizes, rows of guidance, schedule and
// noise. Whatever the model cannot do is said here.
import type { Pixels } from "../../base/pixels.ts";
import { firstNoise } from "../../flow/noise.ts";
import { eulerSchedule, uniformLevels, type Schedule } from "../../flow/schedule.ts";
import { gridSize, type GridOptions } from "../../pixels/crop-to-grid.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import type { DrawDefaults, DrawRequest } from "../family.ts";
import { checkDrawingRoom } from "../request-limits.ts";
import type { OmniGenConfig } from "./config.ts";
import type { LatentSize } from "./latents.ts";
import { NEGATIVE_PROMPT, pictureTags, promptParts, withTags, type PromptPart } from "./prompt.ts";
import { flowLength } from "./velocity.ts";

/** A row of guidance: what it is told, and its weight in the velocity. */
export interface GuidedRow {
  readonly weight: number;
  readonly parts: readonly PromptPart[];
}

/** A request that the model can do. */
export interface DrawingPlan {
  readonly size: LatentSize;
  readonly latentShape: readonly [channels: number, height: number, width: number];
  readonly schedule: Schedule;
  readonly noise: Float32Array<ArrayBuffer>;
  readonly guidance: number;
  readonly rows: readonly GuidedRow[];
  /** Slots that the longest row's prompt takes, padded. */
  readonly prefix: number;
}

/** More would hardly fit into a device's memory; the authors' demo takes three. */
export const MAX_IMAGES = 8;

// max_input_image_size of the authors' pipeline.
const MAX_INPUT_SIZE = 1024;
/** Prompts are padded to a multiple of this, so that most of them find a compiled and captured field. */
export const PREFIX_STEP = 32;

/**
 * The numbers of the authors' README, demo and guide (the signature's guidance is 3). A single picture is
 * edited in its own size, as the authors advise.
 *
 * @see https://github.com/VectorSpaceLab/OmniGen/blob/d475201/docs/inference.md
 */
export function drawDefaults(config: OmniGenConfig, images: readonly Pixels[]): DrawDefaults {
  const [only, ...others] = images;
  const isEdit = only !== undefined && others.length === 0;
  const [width, height] = isEdit
    ? seenSize(config, only)
    : [config.defaultSize, config.defaultSize];
  const imageGuidance = images.length === 0 ? {} : { imageGuidance: 1.6 };
  return { width, height, steps: 50, guidance: 2.5, ...imageGuidance };
}

/** How pictures are cut for the prompt. */
export function inputGrid({ tokenPixels }: OmniGenConfig): GridOptions {
  return { maxSize: MAX_INPUT_SIZE, patch: tokenPixels };
}

/** [width, height] in pixels of a picture as the core sees it. */
export function seenSize(config: OmniGenConfig, picture: Pixels): readonly [number, number] {
  return gridSize(picture, inputGrid(config));
}

/** @throws RangeError for a size, steps, latents, tags or a prompt that the model cannot do */
export function planDrawing(
  config: OmniGenConfig,
  tokenizer: Tokenizer,
  request: DrawRequest,
): DrawingPlan {
  const size = latentSize(config, request);
  const latentShape = [config.vae.latentChannels, ...size] as const;
  const schedule = eulerSchedule(uniformLevels(request.steps));
  const noise = firstNoise(request, latentShape);
  const rows = guidedRows(request, tokenizer);
  const prefix = prefixOf(config, rows, request.images, size);
  return { size, latentShape, schedule, noise, guidance: request.guidance, rows, prefix };
}

function latentSize(config: OmniGenConfig, { width, height }: DrawRequest): LatentSize {
  const { tokenPixels, gridSize: most, patchSize } = config;
  const longest = most * tokenPixels;
  for (const side of [width, height]) {
    if (side % tokenPixels !== 0 || side < tokenPixels || side > longest) {
      throw new RangeError(
        `This model draws pictures whose sides are multiples of ${tokenPixels} up to ${longest}, got ${width} x ${height}.`,
      );
    }
  }
  const scale = tokenPixels / patchSize;
  return [height / scale, width / scale];
}

/**
 * Rows whose weighted sum is the guided velocity. With pictures v = u + i (p - u) + g (c - p) for prompt c,
 * pictures alone p and neither u; rows of weight 0 are not computed.
 *
 * @see https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/model.py#L390-L397
 */
function guidedRows(request: DrawRequest, tokenizer: Tokenizer): GuidedRow[] {
  const { prompt, negativePrompt = NEGATIVE_PROMPT, images, guidance } = request;
  const { imageGuidance = guidance } = request;
  const pictured = images.length === 0 ? guidance : imageGuidance;
  const rows = [
    { weight: guidance, prompt: withTags(prompt, images.length) },
    { weight: pictured - guidance, prompt: pictureTags(images.length) },
    { weight: 1 - pictured, prompt: withTags(negativePrompt, 0) },
  ];
  return rows
    .filter(({ weight }) => weight !== 0)
    .map(({ weight, prompt: text }) => ({ weight, parts: promptParts(text, tokenizer) }));
}

function prefixOf(
  config: OmniGenConfig,
  rows: readonly GuidedRow[],
  images: readonly Pixels[],
  size: LatentSize,
): number {
  const slots = images.map((image) => pictureSlots(config, image));
  const lengths = rows.map(({ parts }) =>
    parts.reduce((sum, part) => {
      return sum + (part.kind === "ids" ? part.ids.length : (slots[part.picture] ?? 0));
    }, 0),
  );
  const longest = Math.max(...lengths);
  const flow = flowLength(config, size);
  const { maxPositions } = config.language;
  const advice = "send fewer or smaller pictures";
  checkDrawingRoom({ prompt: longest, picture: flow, maxPositions, advice });
  return Math.ceil(longest / PREFIX_STEP) * PREFIX_STEP;
}

function pictureSlots(config: OmniGenConfig, picture: Pixels): number {
  const [width, height] = seenSize(config, picture);
  const { tokenPixels, gridSize: most } = config;
  if (Math.max(width, height) > most * tokenPixels) {
    throw new RangeError(
      `A picture of ${picture.width} x ${picture.height} is too long and narrow: its long side would have more than ${most} tokens.`,
    );
  }
  return (width * height) / tokenPixels ** 2;
}
