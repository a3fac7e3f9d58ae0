// What JanusFlow takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { coreCapacity } from "../growing-core.ts";
import { decodeGraph } from "../llama-graphs.ts";
import { roundUp, USUAL_ANSWER_TOKENS, USUAL_PROMPT_TOKENS, USUAL_ROWS } from "../usual-request.ts";
import type { JanusFlowConfig } from "./config.ts";
import { promptGraph } from "./core.ts";
import { PREFIX_STEP } from "./drawer.ts";
import { decoderGraph } from "./latents.ts";
import { velocityGraph } from "./velocity.ts";
import { visionGraph } from "./vision.ts";

/** Of both stages. */
export function janusFlowWork(
  config: JanusFlowConfig,
  options: GraphOptions,
): Record<"understand" | "draw", StageWork> {
  const written = coreCapacity(USUAL_PROMPT_TOKENS + USUAL_ANSWER_TOKENS, config.language);
  const prefix = roundUp(USUAL_PROMPT_TOKENS, PREFIX_STEP);
  return {
    understand: {
      loops: [decodeGraph(config, written, options)],
      passes: [visionGraph(config, options)],
    },
    draw: {
      loops: [velocityGraph(config, USUAL_ROWS, prefix, options)],
      passes: [promptGraph(config, USUAL_ROWS, prefix, options), decoderGraph(config, options)],
    },
  };
}
