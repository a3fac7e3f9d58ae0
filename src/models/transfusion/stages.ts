// Binds a Transfusion's graphs to a device: which weights they need, and what tasks may ask of them.
import type { Graph } from "../../graph/graph.ts";
import { drawStage, openTokenizer, StageBinder, writeStage } from "../bind-stages.ts";
import type { GraphOptions, InterleaveStage, StageContext, Stages } from "../family.ts";
import type { TransfusionConfig } from "./config.ts";
import { decodeGraph, embedGraph, enterGraph, extendGraph, velocityGraph } from "./graphs.ts";
import { decoderGraph, encoderGraph } from "./latents.ts";
import { drawDefaults, MAX_IMAGES, TransfusionModel } from "./model.ts";
import { numberTokens } from "./prompt.ts";

/** Every graph; sizes of sequences do not matter for the weights they bind. */
export function transfusionGraphs(
  config: TransfusionConfig,
  options: GraphOptions,
): Record<"model", Graph[]> {
  const grid = config.defaultGrid;
  return {
    model: [
      embedGraph(config, options),
      enterGraph(config, grid, options),
      extendGraph(config, 1, options),
      decodeGraph(config, 1, options),
      velocityGraph(config, { grid, rows: 1, capacity: 1 }, options),
      encoderGraph(config, grid, options),
      decoderGraph(config, grid, options),
    ],
  };
}

/** Uploads the weights and compiles the model. */
export async function createTransfusionStages(
  context: StageContext<TransfusionConfig>,
): Promise<Stages> {
  const { config, files } = context;
  const tokenizer = openTokenizer(files);
  const tokens = numberTokens(tokenizer, config.textTokens);
  const binder = new StageBinder(context, transfusionGraphs);
  // One stage: words and pictures share every weight but the autoencoder's, and their contexts.
  const model = binder.add("model", () => TransfusionModel.create(context, tokens));
  const opened = await binder.open(() => model.opened?.captures ?? {});
  const write = writeStage(model, { tokenizer, stopIds: new Set([tokens.eos, tokens.som]) });
  const draw = drawStage(model, {
    maxImages: MAX_IMAGES,
    defaults: (images: readonly unknown[]) => drawDefaults(config, images.length > 0),
  });
  const interleave: InterleaveStage = {
    beginIds: new Set([tokens.som]),
    prefill: (messages, maxTokens, abort) => write.prefill(messages, maxTokens, abort),
    prepare: async (answered, request, abort) =>
      (await model.enter(abort)).drawHere(answered, request, abort),
    resume: async (maxTokens, abort) => (await model.enter(abort)).resume(maxTokens, abort),
  };
  return { ...opened, write, draw, interleave };
}
