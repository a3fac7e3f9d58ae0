// Pisces understands: pictures through SigLIP, text through the core, answers from the language head.
import type { Pixels } from "../../base/pixels.ts";
import { dropAlpha, normalize } from "../../pixels/preprocess.ts";
import { resizeBicubic } from "../../pixels/resize.ts";
import type { StageContext } from "../family.ts";
import { SeeingWriter } from "../seeing-writer.ts";
import type { PiscesConfig } from "./config.ts";
import { understandingPrompt, type PiscesTokens } from "./prompt.ts";
import { pictureSlots, visionGraph } from "./vision.ts";

/** Compiles the understanding half of a Pisces model; weights must be loaded. */
export function createWriter(
  context: StageContext<PiscesConfig>,
  tokens: PiscesTokens,
): Promise<SeeingWriter> {
  const { config, runtime, quantization } = context;
  return SeeingWriter.create(context, {
    language: config.language,
    vision: visionGraph(config, { float: runtime.float, quantization }),
    imageSize: config.vision.imageSize,
    pictureSlots: pictureSlots(config),
    preprocess: (picture) => picturePixels(picture, config),
    prompt: (messages) => understandingPrompt(messages, tokens),
  });
}

/**
 * A picture as the tower wants it, [3, size, size]: squashed to a square.
 *
 * @see https://github.com/huggingface/transformers/blob/v4.46.3/src/transformers/models/siglip/image_processing_siglip.py
 */
export function picturePixels(
  picture: Pixels,
  { vision: { imageSize }, normalization }: PiscesConfig,
): Float32Array<ArrayBuffer> {
  const squashed = resizeBicubic(dropAlpha(picture), imageSize, imageSize);
  return normalize(squashed, { ...normalization, doNormalize: true });
}
