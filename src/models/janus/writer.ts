// Janus understands: pictures through SigLIP, text through the core, answers from the language head.
import { preprocess } from "../../pixels/preprocess.ts";
import { understandingPrompt } from "../deepseek-prompt.ts";
import type { StageContext } from "../family.ts";
import { SeeingWriter } from "../seeing-writer.ts";
import type { JanusConfig } from "./config.ts";
import type { JanusTokens } from "./prompt.ts";
import { pictureSlots, visionGraph } from "./vision.ts";

/** Compiles the understanding half of a Janus model; weights must be loaded. */
export function createWriter(
  context: StageContext<JanusConfig>,
  tokens: JanusTokens,
): Promise<SeeingWriter> {
  const { config, runtime, quantization } = context;
  return SeeingWriter.create(context, {
    language: config.language,
    vision: visionGraph(config, { float: runtime.float, quantization }),
    imageSize: config.vision.imageSize,
    pictureSlots: pictureSlots(config),
    preprocess: (picture) => preprocess(picture, config.preprocess),
    prompt: (messages) => understandingPrompt(messages, tokens),
  });
}
