// Binds Janus's graphs to a device: which weights each stage needs, and the two halves of the model.
import type { Quantization } from "../../base/dtype.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { Graph } from "../../graph/graph.ts";
import { createTextStream, createTokenizer } from "../../tokens/tokenizer.ts";
import type { GraphOptions, StageContext, Stages, StagesInfo } from "../family.ts";
import type { SeeingWriter } from "../seeing-writer.ts";
import { describeStages, distinctWeights } from "../stage-facts.ts";
import type { JanusConfig } from "./config.ts";
import { decodeGraph, embedGraph, prefillGraph } from "./core.ts";
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
      decodeGraph(config, "words", size, options),
    ],
    draw: [
      embedGraph(config, options),
      prefillGraph(config, "codes", 1, options),
      decodeGraph(config, "codes", size, options),
      pictureGraph(config, options),
    ],
  };
}

/** Every weight that any stage binds, once each. */
export function declareJanusWeights(
  config: JanusConfig,
  quantization: Quantization,
): WeightDeclaration[] {
  const graphs = Object.values(janusGraphs(config, { float: "f32", quantization })).flat();
  return distinctWeights(graphs);
}

/** Uploads the weights and compiles both halves of the model. */
export async function createJanusStages(context: StageContext<JanusConfig>): Promise<Stages> {
  const { config, files, runtime, residency, quantization, signal, onStage } = context;
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = findTokens(tokenizer, config.tags);
  const graphs = janusGraphs(config, { float: runtime.float, quantization });
  const understand = residency.add({
    name: "understand",
    graphs: graphs.understand,
    open: () => {
      onStage?.("understand");
      return createWriter(context, tokens);
    },
  });
  const draw = residency.add({
    name: "draw",
    graphs: graphs.draw,
    open: () => {
      onStage?.("draw");
      return JanusDrawer.create(context, tokens);
    },
  });
  onStage?.("weights");
  await residency.openAll(signal);
  return {
    runtime,
    write: {
      stopIds: new Set([tokens.eos]),
      createTextStream: () => createTextStream(tokens.tokenizer),
      prefill: async (messages, maxTokens, abort) =>
        (await understand.enter(abort)).prefill(messages, maxTokens, abort),
    },
    draw: {
      maxImages: 0,
      defaults: () => drawDefaults(config),
      prepare: async (request, abort) => (await draw.enter(abort)).prepare(request, abort),
    },
    info: () => stagesInfo(context, understand.opened, draw.opened),
    dispose: () => residency.dispose(),
  };
}

function stagesInfo(
  { residency }: StageContext<JanusConfig>,
  writer: SeeingWriter | undefined,
  drawer: JanusDrawer | undefined,
): StagesInfo {
  const loops = { decode: writer?.capture, draw: drawer?.capture };
  return describeStages(residency, loops);
}
