// What Nexus-Gen takes beside its weights for a request of the usual size.
import type { GraphOptions, StageWork } from "../family.ts";
import { coreCapacity } from "../growing-core.ts";
import { decodeGraph } from "../llama-graphs.ts";
import { USUAL_ANSWER_TOKENS, USUAL_PROMPT_TOKENS } from "../usual-request.ts";
import { timesGraph } from "./conditions.ts";
import type { DecoderConfig, NexusGenConfig } from "./config.ts";
import { imagineGraph } from "./core.ts";
import { pictureGraph, velocityGraph, type FieldShape } from "./decoder.ts";
import { timesOf } from "./stages.ts";

/** Of every stage, for pictures of the default size. */
export function nexusGenWork(
  config: NexusGenConfig,
  options: GraphOptions,
): Record<string, StageWork> {
  const { language, grid, generation, editing } = config;
  const answer = Math.max(USUAL_ANSWER_TOKENS, grid ** 2);
  const capacity = coreCapacity(USUAL_PROMPT_TOKENS + answer, language);
  return {
    core: {
      loops: [decodeGraph(config, capacity, options)],
      passes: [imagineGraph(config, options)],
    },
    ...decoderWork(config, "generation", generation, options),
    ...(editing && decoderWork(config, "editing", editing, options)),
  };
}

// An edit's field is told the picture that it starts from, too.
function decoderWork(
  config: NexusGenConfig,
  name: "generation" | "editing",
  decoder: DecoderConfig,
  options: GraphOptions,
): Record<string, StageWork> {
  const { grid, sourceGrid, negativeLength, steps, width, height, vae } = config;
  const scale = 2 ** (vae.blockOutChannels.length - 1);
  const latentShape = [vae.latentChannels, height / scale, width / scale] as const;
  const lengths = name === "editing" ? [grid ** 2 + sourceGrid ** 2] : [grid ** 2, negativeLength];
  const shape: FieldShape = { latentShape, lengths, steps };
  return {
    [timesOf(name)]: { loops: [], passes: [timesGraph(steps, decoder, options)] },
    [name]: {
      loops: [velocityGraph(decoder.flux, shape, options)],
      passes: [pictureGraph(config, latentShape, options)],
    },
  };
}
