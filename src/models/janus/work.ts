// What Janus takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { coreCapacity } from "../growing-core.ts";
import { decodeGraph as languageGraph } from "../llama-graphs.ts";
import { USUAL_ANSWER_TOKENS, USUAL_PROMPT_TOKENS, USUAL_ROWS } from "../usual-request.ts";
import { codesPerPicture, type JanusConfig } from "./config.ts";
import { decodeGraph, prefillGraph } from "./core.ts";
import { pictureGraph } from "./picture.ts";
import { visionGraph } from "./vision.ts";

/** Of both stages. Drawing prefills one row at a time in a cache of its own. */
export function janusWork(
  config: JanusConfig,
  options: GraphOptions,
): Record<"understand" | "draw", StageWork> {
  const { language } = config;
  const written = coreCapacity(USUAL_PROMPT_TOKENS + USUAL_ANSWER_TOKENS, language);
  const capacity = coreCapacity(USUAL_PROMPT_TOKENS + codesPerPicture(config), language);
  return {
    understand: {
      loops: [languageGraph(config, written, options)],
      passes: [visionGraph(config, options)],
    },
    draw: {
      loops: [
        decodeGraph(config, { rows: USUAL_ROWS, capacity }, options),
        prefillGraph(config, capacity, options),
      ],
      passes: [pictureGraph(config, options)],
    },
  };
}
