// What a Transfusion takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { USUAL_ANSWER_TOKENS, USUAL_PROMPT_TOKENS, USUAL_ROWS } from "../usual-request.ts";
import type { TransfusionConfig } from "./config.ts";
import { contextCapacity } from "./context.ts";
import { decodeGraph, velocityGraph } from "./graphs.ts";
import { decoderGraph, encoderGraph } from "./latents.ts";

/** Of the one stage. Writing goes on in the first of the contexts that the field reads. */
export function transfusionWork(
  config: TransfusionConfig,
  options: GraphOptions,
): Record<"model", StageWork> {
  const { defaultGrid: grid } = config;
  const capacity = contextCapacity(USUAL_PROMPT_TOKENS + USUAL_ANSWER_TOKENS);
  return {
    model: {
      loops: [velocityGraph(config, { grid, rows: USUAL_ROWS, capacity }, options)],
      passes: [
        decodeGraph(config, capacity, options),
        encoderGraph(config, grid, options),
        decoderGraph(config, grid, options),
      ],
    },
  };
}
