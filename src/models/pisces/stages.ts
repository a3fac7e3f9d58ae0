// Binds Pisces' graphs to a device: which weights each stage needs, and the two halves of the model.
import type { Quantization } from "../../base/dtype.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { Graph } from "../../graph/graph.ts";
import type { ResidentStage } from "../../session/residency.ts";
import { createTextStream, createTokenizer } from "../../tokens/tokenizer.ts";
import type { GraphOptions, StageContext, Stages, StagesInfo } from "../family.ts";
import type { SeeingWriter } from "../seeing-writer.ts";
import { describeStages, distinctWeights } from "../stage-facts.ts";
import type { PiscesConfig } from "./config.ts";
import { captionGraph, embedGraph, imagineGraph, prefillGraph } from "./core.ts";
import { PiscesDrawer, type DrawerStages } from "./drawer.ts";
import { PiscesImaginer } from "./imaginer.ts";
import { decoderGraph } from "./latents.ts";
import { PiscesPainter } from "./painter.ts";
import { findTokens, type PiscesTokens } from "./prompt.ts";
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

/** Every weight that any stage binds, once each. */
export function declarePiscesWeights(
  config: PiscesConfig,
  quantization: Quantization,
): WeightDeclaration[] {
  const graphs = Object.values(piscesGraphs(config, { float: "f32", quantization })).flat();
  return distinctWeights(graphs);
}

/** Uploads the weights and compiles every stage that there is room for. */
export async function createPiscesStages(context: StageContext<PiscesConfig>): Promise<Stages> {
  const { config, files, runtime, residency, signal, onStage } = context;
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = findTokens(tokenizer, config.tags);
  const stages = addStages(context, tokens);
  const drawer = new PiscesDrawer(config, tokens, stages);
  onStage?.("weights");
  await residency.openAll(signal);
  return {
    runtime,
    write: {
      stopIds: tokens.stopIds,
      createTextStream: () => createTextStream(tokens.tokenizer),
      prefill: async (messages, maxTokens, abort) =>
        (await stages.understand.enter(abort)).prefill(messages, maxTokens, abort),
    },
    draw: drawer,
    info: () => stagesInfo(context, stages),
    dispose: async () => {
      drawer.dispose();
      await residency.dispose();
    },
  };
}

interface PiscesStages extends DrawerStages {
  readonly understand: ResidentStage<SeeingWriter>;
}

function addStages(context: StageContext<PiscesConfig>, tokens: PiscesTokens): PiscesStages {
  const { config, runtime, residency, quantization, onStage } = context;
  const graphs = piscesGraphs(config, { float: runtime.float, quantization });
  return {
    understand: residency.add({
      name: "understand",
      graphs: graphs.understand,
      open: () => {
        onStage?.("understand");
        return createWriter(context, tokens);
      },
    }),
    imagine: residency.add({
      name: "imagine",
      graphs: graphs.imagine,
      open: () => {
        onStage?.("imagine");
        return PiscesImaginer.create(context);
      },
    }),
    paint: residency.add({
      name: "paint",
      graphs: graphs.paint,
      open: () => {
        onStage?.("paint");
        return PiscesPainter.create(context);
      },
    }),
  };
}

function stagesInfo(
  { residency }: StageContext<PiscesConfig>,
  { understand, imagine, paint }: PiscesStages,
): StagesInfo {
  const loops = {
    decode: understand.opened?.capture,
    imagine: imagine.opened?.capture,
    flow: paint.opened?.capture,
  };
  return describeStages(residency, loops);
}
