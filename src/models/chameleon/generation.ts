// The numbers that a checkpoint is sampled with. A small model may need other ones than the authors' scripts have.
import { ConfigReader } from "../config-reader.ts";
import type { GuidanceScales } from "./guidance.ts";

/** How texts and codes are picked. */
export interface ChameleonGeneration {
  /** Of every id of the context, in texts. */
  readonly repetitionPenalty: number;
  /** Of codes: the smallest set with this share of the probability. */
  readonly topP: number;
  /** Of pictures behind text alone. */
  readonly drawing: GuidanceScales;
  /** Of pictures behind pictures. */
  readonly editing: GuidanceScales;
}

// Meta's Options.Text and Options.Image, and its CFG.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L53-L79
const REFERENCE = { repetitionPenalty: 1.2, topP: 0.9, guidance: 3, imageGuidance: 1.2 };

/**
 * Reads generation_config.json: transformers' `repetition_penalty`, and a section of ours, `image_generation`, with
 * `top_p`, `guidance_scale`, `image_guidance_scale`, and an `editing` section with the same two scales.
 *
 * @param json - undefined where the checkpoint has none: the reference's numbers
 * @throws ModelError checkpoint-invalid
 */
export function readGeneration(json: unknown): ChameleonGeneration {
  const config = new ConfigReader(json ?? {}, "generation_config.json");
  const pictures = config.section("image_generation");
  const drawing = readScales(pictures, REFERENCE);
  const { repetitionPenalty: fallback, topP } = REFERENCE;
  return {
    repetitionPenalty: config.number("repetition_penalty", { min: 0.1, max: 10, fallback }),
    topP: pictures.number("top_p", { min: 0.001, max: 1, fallback: topP }),
    drawing,
    editing: readScales(pictures.section("editing"), drawing),
  };
}

function readScales(config: ConfigReader, fallback: GuidanceScales): GuidanceScales {
  const read = (key: string, otherwise: number): number =>
    config.number(key, { min: 0, max: 100, fallback: otherwise });
  return {
    guidance: read("guidance_scale", fallback.guidance),
    imageGuidance: read("image_guidance_scale", fallback.imageGuidance),
  };
}
