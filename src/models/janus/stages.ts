// Binds Janus's graphs to a device: which weights each stage needs, and the two halves of the model.
import type { Graph } from "../../graph/graph.ts";
import { drawStage, openTokenizer, StageBinder, writeStage } from "../bind-stages.ts";
import type { GraphOptions, StageContext, Stages } from "../family.ts";
import { embedGraph, prefillGraph as languageGraph } from "../llama-graphs.ts";
import type { JanusConfig } from "./config.ts";
import { decodeGraph, prefillGraph } from "./core.ts";
import { drawDefaults, JanusDrawer } from "./drawer.ts";
import { pictureGraph } from "./picture.ts";
import { findTokens } from "./prompt.ts";
import { visionGraph } from "./vision.ts";
import { createWriter } from "./writer.ts";

/** The graphs of both stages; sequence sizes do not matter for the weights they bind. */
export function janusGraphs(
  config: JanusConfig,
  options: GraphOptions,
): Record<"understand" | "draw", Graph[]> {
  const size = { rows: 1, capacity: 1 };
  return {
    understand: [
      visionGraph(config, options),
      embedGraph(config, options),
      languageGraph(config, 1, options),
    ],
    draw: [
      embedGraph(config, options),
      prefillGraph(config, 1, options),
      decodeGraph(config, size, options),
      pictureGraph(config, options),
    ],
  };
}

/** Uploads the weights and compiles both halves of the model. */
export async function createJanusStages(context: StageContext<JanusConfig>): Promise<Stages> {
  const { config, files } = context;
  const tokens = findTokens(openTokenizer(files), config.tags);
  const binder = new StageBinder(context, janusGraphs);
  const understand = binder.add("understand", () => createWriter(context, tokens));
  const draw = binder.add("draw", () => JanusDrawer.create(context, tokens));
  const opened = await binder.open(() => ({
    decode: understand.opened?.capture,
    draw: draw.opened?.capture,
  }));
  return {
    ...opened,
    write: writeStage(understand, { tokenizer: tokens.tokenizer, stopIds: new Set([tokens.eos]) }),
    draw: drawStage(draw, { maxImages: 0, defaults: () => drawDefaults(config) }),
  };
}
