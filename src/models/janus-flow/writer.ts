// JanusFlow understands: pictures through SigLIP, text through the core, answers from the language head.
import { preprocess } from "../../pixels/preprocess.ts";
import type { StageContext } from "../family.ts";
import { SeeingWriter } from "../seeing-writer.ts";
import type { JanusFlowConfig } from "./config.ts";
import { understandingPrompt, type JanusTokens } from "./prompt.ts";
import { pictureSlots, visionGraph } from "./vision.ts";

/** Compiles the understanding half of a JanusFlow model; weights must be loaded. */
export function createWriter(
  context: StageContext<JanusFlowConfig>,
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
