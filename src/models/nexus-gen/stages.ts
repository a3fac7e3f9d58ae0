// Binds Nexus-Gen's graphs to a device: the core with its tower, and one or two decoders, which take turns
// where memory is short.
import type { Graph } from "../../graph/graph.ts";
import type { OpenStage } from "../../session/residency.ts";
import { createTextStream } from "../../tokens/tokenizer.ts";
import { openTokenizer, StageBinder, type Loops } from "../bind-stages.ts";
import type { GraphOptions, StageContext, Stages } from "../family.ts";
import { embedGraph } from "../llama-graphs.ts";
import type { DecoderConfig, NexusGenConfig } from "./config.ts";
import { imagineGraph, prefillGraph, slotGraph } from "./core.ts";
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
export function timesOf(decoder: string): string {
  return `${decoder} times`;
}

/** Uploads the weights and compiles the stages. */
export async function createNexusGenStages(context: StageContext<NexusGenConfig>): Promise<Stages> {
  const { config, files, runtime } = context;
  const tokenizer = openTokenizer(files);
  const tokens = findTokens(tokenizer, config.tokens);
  const binder = new StageBinder(context, nexusGenGraphs);
  const stages = addStages(binder, context, tokens);
  const opened = await binder.open(() => loopsOf(stages));
  const drawer = new NexusDrawer(runtime, config, stages);
  const writer = new NexusWriter(config, tokens, stages.core);
  return {
    ...opened,
    write: {
      stopIds: tokens.stop,
      createTextStream: () => createTextStream(tokenizer),
      prefill: (messages, maxTokens, abort) => writer.prefill(messages, maxTokens, abort),
    },
    draw: drawer,
    interleave: new NexusInterleaver(config, tokens, { core: stages.core, writer, drawer }),
    dispose: async () => {
      await opened.dispose();
      drawer.dispose();
    },
  };
}

function addStages(
  binder: StageBinder<NexusGenConfig, string>,
  context: StageContext<NexusGenConfig>,
  tokens: NexusTokens,
): DrawerStages {
  const { generation, editing } = context.config;
  const addDecoder = (name: string, decoder: DecoderConfig): DecoderStages => ({
    times: binder.add(timesOf(name), async () => new NexusTimes(context, decoder)),
    painter: binder.add(name, () => NexusPainter.create(context, decoder)),
  });
  return {
    core: binder.add("core", () => openCore(context, tokens)),
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

function loopsOf({ core, generation, editing }: DrawerStages): Loops {
  return {
    decode: core.opened?.language.core.capture,
    generation: generation.painter.opened?.capture,
    editing: editing?.painter.opened?.capture,
  };
}
