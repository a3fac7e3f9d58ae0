// What OmniGen takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { roundUp, USUAL_PROMPT_TOKENS, USUAL_ROWS } from "../usual-request.ts";
import type { OmniGenConfig } from "./config.ts";
import { promptGraph } from "./core.ts";
import { decoderGraph, encoderGraph, type LatentSize } from "./latents.ts";
import { pictureGraph } from "./patches.ts";
import { PREFIX_STEP } from "./plan.ts";
import { velocityGraph } from "./velocity.ts";

/** Of both stages, for pictures of the default size. */
export function omniGenWork(
  config: OmniGenConfig,
  options: GraphOptions,
): Record<"see" | "draw", StageWork> {
  const { defaultSize, gridSize, tokenPixels, patchSize } = config;
  // A small model may have no grid for the default size.
  const side = Math.min(defaultSize / tokenPixels, gridSize) * patchSize;
  const size: LatentSize = [side, side];
  const prefix = roundUp(USUAL_PROMPT_TOKENS, PREFIX_STEP);
  return {
    see: {
      loops: [],
      passes: [encoderGraph(config, size, options), pictureGraph(config, size, options)],
    },
    draw: {
      loops: [velocityGraph(config, { rows: USUAL_ROWS, prefix, size }, options)],
      passes: [
        promptGraph(config, USUAL_ROWS, prefix, options),
        decoderGraph(config, size, options),
      ],
    },
  };
}
