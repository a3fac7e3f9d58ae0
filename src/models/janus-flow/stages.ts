// Binds JanusFlow's graphs to a device: which weights each stage needs, and the two halves of the model.
import type { Graph } from "../../graph/graph.ts";
import { drawStage, openTokenizer, StageBinder, writeStage } from "../bind-stages.ts";
import type { GraphOptions, StageContext, Stages } from "../family.ts";
import { embedGraph, prefillGraph } from "../llama-graphs.ts";
import type { JanusFlowConfig } from "./config.ts";
import { promptGraph } from "./core.ts";
import { drawDefaults, JanusFlowDrawer } from "./drawer.ts";
import { decoderGraph } from "./latents.ts";
import { findTokens } from "./prompt.ts";
import { velocityGraph } from "./velocity.ts";
import { visionGraph } from "./vision.ts";
import { createWriter } from "./writer.ts";

/** The graphs of both stages; sequence sizes do not matter for the weights they bind. */
export function janusFlowGraphs(
  config: JanusFlowConfig,
  options: GraphOptions,
): Record<"understand" | "draw", Graph[]> {
  return {
    understand: [
      visionGraph(config, options),
      embedGraph(config, options),
      prefillGraph(config, 1, options),
    ],
    draw: [
      promptGraph(config, 1, 1, options),
      velocityGraph(config, 1, 1, options),
      decoderGraph(config, options),
    ],
  };
}

/** Uploads the weights and compiles both halves of the model. */
export async function createJanusFlowStages(
  context: StageContext<JanusFlowConfig>,
): Promise<Stages> {
  const { config, files } = context;
  const tokens = findTokens(openTokenizer(files), config.tags);
  const binder = new StageBinder(context, janusFlowGraphs);
  const understand = binder.add("understand", () => createWriter(context, tokens));
  const draw = binder.add("draw", () => JanusFlowDrawer.create(context, tokens));
  const opened = await binder.open(() => ({
    decode: understand.opened?.capture,
    flow: draw.opened?.capture,
  }));
  return {
    ...opened,
    write: writeStage(understand, { tokenizer: tokens.tokenizer, stopIds: new Set([tokens.eos]) }),
    draw: drawStage(draw, { maxImages: 0, defaults: () => drawDefaults(config) }),
  };
}
