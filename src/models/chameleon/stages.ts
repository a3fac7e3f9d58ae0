// Binds Chameleon's graphs to a device: which weights each stage needs, and what the checkpoint can do.
import { present } from "../../base/assert.ts";
import type { Quantization } from "../../base/dtype.ts";
import type { Capabilities } from "../../base/requests.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { Graph } from "../../graph/graph.ts";
import type { ResidentStage } from "../../session/residency.ts";
import { createTextStream, createTokenizer } from "../../tokens/tokenizer.ts";
import type {
  DrawStage,
  GraphOptions,
  InterleaveStage,
  StageContext,
  Stages,
  StagesInfo,
} from "../family.ts";
import { describeStages, distinctWeights } from "../stage-facts.ts";
import type { ChameleonConfig } from "./config.ts";
import { embedGraph, prefillGraph } from "./core.ts";
import { ChameleonDrawer, drawDefaults, maxImages, WITHOUT_DECODER } from "./drawer.ts";
import { ChameleonInterleaver } from "./interleaver.ts";
import { decoderGraph, encoderGraph, PictureCodes } from "./picture-codes.ts";
import { withMetaName } from "./meta-layout.ts";
import type { ChameleonTokens } from "./prompt.ts";
import { ChameleonWriter } from "./writer.ts";

/** Anole draws; Chameleon was published without the weights for it. */
export function chameleonCapabilities({ canDraw }: ChameleonConfig): Capabilities {
  return { generateText: true, generateImage: canDraw, editImage: canDraw, converse: canDraw };
}

/** The graphs of every stage; sequence sizes do not matter for the weights they bind. */
export function chameleonGraphs(
  config: ChameleonConfig,
  options: GraphOptions,
): Record<string, Graph[]> {
  return {
    encoder: [encoderGraph(config, options)],
    core: [embedGraph(config, options), prefillGraph(config, 1, options)],
    ...(config.canDraw ? { decoder: [decoderGraph(config, options)] } : {}),
  };
}

/** Every weight that any stage binds, once each. */
export function declareChameleonWeights(
  config: ChameleonConfig,
  quantization: Quantization,
): WeightDeclaration[] {
  const graphs = Object.values(chameleonGraphs(config, { float: "f32", quantization })).flat();
  return distinctWeights(graphs).map(withMetaName);
}

/** Uploads the weights and compiles what the checkpoint can do. */
export async function createChameleonStages(
  context: StageContext<ChameleonConfig>,
): Promise<Stages> {
  const { config, files, runtime, residency, quantization, signal, onStage } = context;
  const { vocabulary, canDraw } = config;
  const file = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = { tokenizer: file.withAddedTokens(vocabulary.controls), vocabulary };
  const graphs = chameleonGraphs(config, { float: runtime.float, quantization });
  // One stage: text and pictures go through the same core, and the rest is small beside it.
  const core = residency.add({
    name: "core",
    graphs: Object.values(graphs).flat(),
    open: () => {
      onStage?.("core");
      return openModel(context, tokens);
    },
  });
  onStage?.("weights");
  await residency.openAll(signal);
  return {
    runtime,
    write: {
      stopIds: new Set([vocabulary.eos]),
      createTextStream: () => createTextStream(tokens.tokenizer),
      prefill: async (messages, maxTokens, abort) =>
        (await core.enter(abort)).writer.prefill(messages, maxTokens, abort),
    },
    ...(canDraw ? { draw: drawStage(config, core) } : { whyNoDrawing: WITHOUT_DECODER }),
    ...(canDraw ? { interleave: interleaveStage(config, core) } : {}),
    info: () => stagesInfo(context, core.opened),
    dispose: () => residency.dispose(),
  };
}

function drawStage(config: ChameleonConfig, core: ResidentStage<OpenChameleon>): DrawStage {
  return {
    maxImages: maxImages(config),
    defaults: () => drawDefaults(config),
    prepare: async (request, abort) =>
      present((await core.enter(abort)).drawer, "drawer").prepare(request, abort),
  };
}

function interleaveStage(
  { vocabulary }: ChameleonConfig,
  core: ResidentStage<OpenChameleon>,
): InterleaveStage {
  const open = async (abort?: AbortSignal): Promise<ChameleonInterleaver> =>
    present((await core.enter(abort)).interleaver, "interleaver");
  return {
    beginIds: new Set([vocabulary.boi]),
    prefill: async (messages, maxTokens, abort) =>
      (await open(abort)).prefill(messages, maxTokens, abort),
    prepare: async (answered, request, abort) =>
      (await open(abort)).prepare(answered, request, abort),
    resume: async (maxTokens, abort) => (await open(abort)).resume(maxTokens, abort),
  };
}

/** A model on the device. */
interface OpenChameleon {
  readonly writer: ChameleonWriter;
  readonly drawer: ChameleonDrawer | undefined;
  readonly interleaver: ChameleonInterleaver | undefined;
  dispose(): Promise<void>;
}

async function openModel(
  context: StageContext<ChameleonConfig>,
  tokens: ChameleonTokens,
): Promise<OpenChameleon> {
  const { config, runtime, weights, quantization } = context;
  const pictures = await PictureCodes.create(context);
  const embed = await runtime.createSession(
    embedGraph(config, { float: runtime.float, quantization }),
    weights.tensors,
  );
  const shared = { embed, pictures, tokens };
  const writer = await ChameleonWriter.create(context, shared);
  const drawer = config.canDraw ? new ChameleonDrawer(context, shared) : undefined;
  const interleaver = drawer && new ChameleonInterleaver(context, shared, writer, drawer);
  return {
    writer,
    drawer,
    interleaver,
    dispose: async () => {
      interleaver?.dispose();
      await drawer?.dispose();
      await writer.dispose();
      await pictures.dispose();
      await embed.dispose();
    },
  };
}

function stagesInfo(
  { config, residency }: StageContext<ChameleonConfig>,
  opened: OpenChameleon | undefined,
): StagesInfo {
  // The drawing loop is compiled by the first drawing: its caches take gigabytes.
  const loops = { decode: opened?.writer.capture, draw: opened?.drawer?.capture };
  const facts = describeStages(residency, loops);
  return config.canDraw ? facts : { ...facts, notes: [...facts.notes, WITHOUT_DECODER] };
}
