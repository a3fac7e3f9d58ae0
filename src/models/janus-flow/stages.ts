// Binds JanusFlow's graphs to a device: which weights each stage needs, and the two halves of the model.
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { Graph } from "../../graph/graph.ts";
import type { Quantization } from "../../base/dtype.ts";
import { createTokenizer } from "../../tokens/tokenizer.ts";
import type { GraphOptions, StageContext, Stages, StagesInfo } from "../family.ts";
import type { JanusFlowConfig } from "./config.ts";
import { embedGraph, prefillGraph, promptGraph } from "./core.ts";
import { JanusFlowDrawer } from "./drawer.ts";
import { decoderGraph } from "./latents.ts";
import { findTokens } from "./prompt.ts";
import { velocityGraph } from "./velocity.ts";
import { visionGraph } from "./vision.ts";
import { JanusFlowWriter } from "./writer.ts";

/** The graphs of every stage; sequence sizes do not matter for the weights they bind. */
function stageGraphs(config: JanusFlowConfig, options: GraphOptions): Record<string, Graph[]> {
  return {
    vision: [visionGraph(config, options)],
    core: [
      embedGraph(config, options),
      prefillGraph(config, 1, options),
      promptGraph(config, 1, 1, options),
    ],
    flow: [velocityGraph(config, 1, 1, options)],
    decoder: [decoderGraph(config, options)],
  };
}

/** Every weight that any stage binds, once each. */
export function declareJanusFlowWeights(
  config: JanusFlowConfig,
  quantization: Quantization,
): WeightDeclaration[] {
  const graphs = Object.values(stageGraphs(config, { float: "f32", quantization })).flat();
  const byKey = new Map(
    graphs.flatMap(({ weights }) => weights).map((weight) => [weight.key, weight]),
  );
  return [...byKey.values()];
}

/** Uploads the weights and compiles both halves of the model. */
export async function createJanusFlowStages(
  context: StageContext<JanusFlowConfig>,
): Promise<Stages> {
  const { config, files, runtime, weights, quantization, signal, onStage } = context;
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = findTokens(tokenizer, config.tags);
  const graphs = stageGraphs(config, { float: runtime.float, quantization });

  onStage?.("weights");
  await weights.load(Object.values(graphs).flat(), signal);
  onStage?.("core and vision");
  const writer = await JanusFlowWriter.create(context, tokens);
  signal?.throwIfAborted();
  onStage?.("flow and decoder");
  const drawer = await JanusFlowDrawer.create(context, tokens);
  signal?.throwIfAborted();

  return {
    runtime,
    write: writer,
    draw: drawer,
    info: () => stagesInfo(context, graphs, writer, drawer),
    dispose: async () => {
      await writer.dispose();
      await drawer.dispose();
    },
  };
}

function stagesInfo(
  { weights }: StageContext<JanusFlowConfig>,
  graphs: Record<string, Graph[]>,
  writer: JanusFlowWriter,
  drawer: JanusFlowDrawer,
): StagesInfo {
  const loops = { decode: writer.capture, flow: drawer.capture };
  const notes = Object.values(loops).flatMap(({ note }) => (note === undefined ? [] : [note]));
  return {
    stages: Object.entries(graphs).map(([name, stage]) => ({
      name,
      weightBytes: weights.bytes(stage),
      isResident: true,
    })),
    captured: { decode: loops.decode.isCaptured, flow: loops.flow.isCaptured },
    notes,
  };
}
