// What Pisces takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { coreCapacity } from "../growing-core.ts";
import { decodeGraph } from "../llama-graphs.ts";
import { USUAL_ANSWER_TOKENS, USUAL_PROMPT_TOKENS, USUAL_ROWS } from "../usual-request.ts";
import type { PiscesConfig } from "./config.ts";
import { imagineGraph } from "./core.ts";
import { imaginerCapacity } from "./imaginer.ts";
import { decoderGraph } from "./latents.ts";
import { velocityGraph } from "./velocity.ts";
import { visionGraph } from "./vision.ts";

/** Of every stage, for pictures of the default size. */
export function piscesWork(
  config: PiscesConfig,
  options: GraphOptions,
): Record<"understand" | "imagine" | "paint", StageWork> {
  const { language, imageSize, vectors } = config;
  const written = coreCapacity(USUAL_PROMPT_TOKENS + USUAL_ANSWER_TOKENS, language);
  const capacity = imaginerCapacity(USUAL_PROMPT_TOKENS + vectors, config);
  const size = { rows: USUAL_ROWS, width: imageSize, height: imageSize };
  return {
    understand: {
      loops: [decodeGraph(config, written, options)],
      passes: [visionGraph(config, options)],
    },
    imagine: { loops: [imagineGraph(config, capacity, options)], passes: [] },
    paint: {
      loops: [velocityGraph(config, size, options)],
      passes: [decoderGraph(config, size, options)],
    },
  };
}
