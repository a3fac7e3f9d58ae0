// What Chameleon takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { coreCapacity } from "../growing-core.ts";
import { USUAL_ANSWER_TOKENS, USUAL_PROMPT_TOKENS, USUAL_ROWS } from "../usual-request.ts";
import { codesPerPicture, type ChameleonConfig } from "./config.ts";
import { decodeGraph, prefillGraph } from "./core.ts";
import { decoderGraph, encoderGraph } from "./picture-codes.ts";

/** Of the one stage: writing and drawing have caches of their own, and drawing prefills in a third. */
export function chameleonWork(
  config: ChameleonConfig,
  options: GraphOptions,
): Record<"core", StageWork> {
  const { language, canDraw } = config;
  const written = coreCapacity(USUAL_PROMPT_TOKENS + USUAL_ANSWER_TOKENS, language);
  const capacity = coreCapacity(USUAL_PROMPT_TOKENS + codesPerPicture(config), language);
  const writing = decodeGraph(config, { rows: 1, capacity: written }, options);
  const drawing = [
    decodeGraph(config, { rows: USUAL_ROWS, capacity }, options),
    prefillGraph(config, capacity, options),
  ];
  const encoder = encoderGraph(config, options);
  return {
    core: canDraw
      ? { loops: [writing, ...drawing], passes: [encoder, decoderGraph(config, options)] }
      : { loops: [writing], passes: [encoder] },
  };
}
