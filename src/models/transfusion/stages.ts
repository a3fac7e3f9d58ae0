// Binds a Transfusion's graphs to a device: which weights they need, and what tasks may ask of them.
import type { Quantization } from "../../base/dtype.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { Graph } from "../../graph/graph.ts";
import { createTextStream, createTokenizer } from "../../tokens/tokenizer.ts";
import type { GraphOptions, StageContext, Stages, StagesInfo } from "../family.ts";
import { describeStages, distinctWeights } from "../stage-facts.ts";
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

/** Every weight that any graph binds, once each. */
export function declareTransfusionWeights(
  config: TransfusionConfig,
  quantization: Quantization,
): WeightDeclaration[] {
  const graphs = transfusionGraphs(config, { float: "f32", quantization }).model;
  return distinctWeights(graphs);
}

/** Uploads the weights and compiles the model. */
export async function createTransfusionStages(
  context: StageContext<TransfusionConfig>,
): Promise<Stages> {
  const { config, files, runtime, residency, quantization, signal, onStage } = context;
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = numberTokens(tokenizer, config.textTokens);
  // One stage: words and pictures share every weight but the autoencoder's, and their contexts.
  const model = residency.add({
    name: "model",
    graphs: transfusionGraphs(config, { float: runtime.float, quantization }).model,
    open: () => {
      onStage?.("model");
      return TransfusionModel.create(context, tokens);
    },
  });
  onStage?.("weights");
  await residency.openAll(signal);
  const enter = (abort?: AbortSignal): Promise<TransfusionModel> => model.enter(abort);
  return {
    runtime,
    write: {
      stopIds: new Set([tokens.eos, tokens.som]),
      createTextStream: () => createTextStream(tokenizer),
      prefill: async (messages, maxTokens, abort) =>
        (await enter(abort)).write(messages, maxTokens, abort),
    },
    draw: {
      maxImages: MAX_IMAGES,
      defaults: () => drawDefaults(config),
      prepare: async (request, abort) => (await enter(abort)).draw(request, abort),
    },
    interleave: {
      beginIds: new Set([tokens.som]),
      prefill: async (messages, maxTokens, abort) =>
        (await enter(abort)).write(messages, maxTokens, abort),
      prepare: async (answered, request, abort) =>
        (await enter(abort)).drawHere(answered, request, abort),
      resume: async (maxTokens, abort) => (await enter(abort)).resume(maxTokens, abort),
    },
    info: () => stagesInfo(context, model.opened),
    dispose: () => residency.dispose(),
  };
}

function stagesInfo(
  { residency }: StageContext<TransfusionConfig>,
  model: TransfusionModel | undefined,
): StagesInfo {
  return describeStages(residency, model?.captures ?? {});
}
