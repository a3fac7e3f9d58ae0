// Binds Nexus-Gen's graphs to a device: the core with its tower, and one or two decoders, which take turns
// where memory is short.
import type { Quantization } from "../../base/dtype.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { Graph } from "../../graph/graph.ts";
import type { OpenStage } from "../../session/residency.ts";
import { createTextStream, createTokenizer } from "../../tokens/tokenizer.ts";
import type { GraphOptions, StageContext, Stages, StagesInfo } from "../family.ts";
import { describeStages, distinctWeights } from "../stage-facts.ts";
import type { DecoderConfig, NexusGenConfig } from "./config.ts";
import { embedGraph, imagineGraph, prefillGraph, slotGraph } from "./core.ts";
import { timesGraph } from "./conditions.ts";
import { NexusDrawer, type DecoderStages, type DrawerStages } from "./drawer.ts";
import { NexusLanguage } from "./language.ts";
import { NexusPainter, painterGraphs } from "./painter.ts";
import { findTokens, type NexusTokens } from "./prompt.ts";
import { NexusTimes } from "./times.ts";
import { NexusVision, visionGraph } from "./vision.ts";
import { NexusInterleaver, NexusWriter } from "./writer.ts";

/** The core and the tower that shows it pictures. */
export interface NexusCore extends OpenStage {
  readonly language: NexusLanguage;
  readonly vision: NexusVision;
}

/** The graphs of every stage; sequence sizes do not matter for the weights they bind. */
export function nexusGenGraphs(
  config: NexusGenConfig,
  options: GraphOptions,
): Record<string, Graph[]> {
  const decoderGraphs = (name: string, decoder: DecoderConfig): Record<string, Graph[]> => ({
    [timesOf(name)]: [timesGraph(1, decoder, options)],
    [name]: painterGraphs(config, decoder, options),
  });
  return {
    core: [
      visionGraph(config, { rows: 1, columns: 1 }, options),
      embedGraph(config, options),
      prefillGraph(config, 1, options),
      imagineGraph(config, options),
      ...(config.hasPrefillTable ? [slotGraph(config, options)] : []),
    ],
    ...decoderGraphs("generation", config.generation),
    ...(config.editing && decoderGraphs("editing", config.editing)),
  };
}

/** The stage in which a decoder is told the times. */
function timesOf(decoder: string): string {
  return `${decoder} times`;
}

/** Every weight that any stage binds, once each. */
export function declareNexusGenWeights(
  config: NexusGenConfig,
  quantization: Quantization,
): WeightDeclaration[] {
  const graphs = Object.values(nexusGenGraphs(config, { float: "f32", quantization })).flat();
  return distinctWeights(graphs);
}

/** Uploads the weights and compiles the stages. */
export async function createNexusGenStages(context: StageContext<NexusGenConfig>): Promise<Stages> {
  const { config, files, runtime, residency, signal, onStage } = context;
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = findTokens(tokenizer, config.tokens);
  const stages = addStages(context, tokens);
  onStage?.("weights");
  await residency.openAll(signal);
  const drawer = new NexusDrawer(runtime, config, stages);
  const writer = new NexusWriter(config, tokens, stages.core);
  return {
    runtime,
    write: {
      stopIds: tokens.stop,
      createTextStream: () => createTextStream(tokenizer),
      prefill: (messages, maxTokens, abort) => writer.prefill(messages, maxTokens, abort),
    },
    draw: drawer,
    interleave: new NexusInterleaver(config, tokens, { core: stages.core, writer, drawer }),
    info: () => stagesInfo(context, stages),
    dispose: async () => {
      await residency.dispose();
      drawer.dispose();
    },
  };
}

function addStages(context: StageContext<NexusGenConfig>, tokens: NexusTokens): DrawerStages {
  const { config, runtime, residency, quantization, onStage } = context;
  const graphs = nexusGenGraphs(config, { float: runtime.float, quantization });
  const add = <Open extends OpenStage>(name: string, open: () => Promise<Open>) =>
    residency.add({
      name,
      graphs: graphs[name] ?? [],
      open: () => {
        onStage?.(name);
        return open();
      },
    });
  const { generation, editing } = config;
  const addDecoder = (name: string, decoder: DecoderConfig): DecoderStages => ({
    times: add(timesOf(name), async () => new NexusTimes(context, decoder)),
    painter: add(name, () => NexusPainter.create(context, decoder)),
  });
  return {
    core: add("core", () => openCore(context, tokens)),
    generation: addDecoder("generation", generation),
    ...(editing && { editing: addDecoder("editing", editing) }),
  };
}

async function openCore(
  context: StageContext<NexusGenConfig>,
  tokens: NexusTokens,
): Promise<NexusCore> {
  const vision = new NexusVision(context);
  const language = await NexusLanguage.create(context, tokens, vision);
  const dispose = async (): Promise<void> => {
    await language.dispose();
    await vision.dispose();
  };
  return { language, vision, dispose };
}

function stagesInfo(
  { residency }: StageContext<NexusGenConfig>,
  { core, generation, editing }: DrawerStages,
): StagesInfo {
  const loops = {
    decode: core.opened?.language.core.capture,
    generation: generation.painter.opened?.capture,
    editing: editing?.painter.opened?.capture,
  };
  return describeStages(residency, loops);
}
