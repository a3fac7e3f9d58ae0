// Binds Pisces' graphs to a device: which weights each stage needs, and the two halves of the model.
import type { Graph } from "../../graph/graph.ts";
import { openTokenizer, StageBinder, writeStage } from "../bind-stages.ts";
import type { GraphOptions, StageContext, Stages } from "../family.ts";
import { embedGraph, prefillGraph } from "../llama-graphs.ts";
import type { PiscesConfig } from "./config.ts";
import { captionGraph, imagineGraph } from "./core.ts";
import { PiscesDrawer } from "./drawer.ts";
import { PiscesImaginer } from "./imaginer.ts";
import { decoderGraph } from "./latents.ts";
import { PiscesPainter } from "./painter.ts";
import { findTokens } from "./prompt.ts";
import { velocityGraph } from "./velocity.ts";
import { visionGraph } from "./vision.ts";
import { createWriter } from "./writer.ts";

/** The graphs of every stage; sequence sizes do not matter for the weights they bind. */
export function piscesGraphs(
  config: PiscesConfig,
  options: GraphOptions,
): Record<"understand" | "imagine" | "paint", Graph[]> {
  const { latentScale, unet } = config;
  const side = latentScale * 2 ** (unet.blockOutChannels.length - 1);
  const size = { rows: 1, width: side, height: side };
  return {
    understand: [
      visionGraph(config, options),
      embedGraph(config, options),
      prefillGraph(config, 1, options),
    ],
    imagine: [
      embedGraph(config, options),
      captionGraph(config, 1, options),
      imagineGraph(config, 1, options),
    ],
    paint: [velocityGraph(config, size, options), decoderGraph(config, size, options)],
  };
}

/** Uploads the weights and compiles every stage that there is room for. */
export async function createPiscesStages(context: StageContext<PiscesConfig>): Promise<Stages> {
  const { config, files } = context;
  const tokens = findTokens(openTokenizer(files), config.tags);
  const binder = new StageBinder(context, piscesGraphs);
  const understand = binder.add("understand", () => createWriter(context, tokens));
  const imagine = binder.add("imagine", () => PiscesImaginer.create(context));
  const paint = binder.add("paint", () => PiscesPainter.create(context));
  const opened = await binder.open(() => ({
    decode: understand.opened?.capture,
    imagine: imagine.opened?.capture,
    flow: paint.opened?.capture,
  }));
  const drawer = new PiscesDrawer(config, tokens, { imagine, paint });
  return {
    ...opened,
    write: writeStage(understand, tokens),
    draw: drawer,
    dispose: async () => {
      drawer.dispose();
      await opened.dispose();
    },
  };
}
