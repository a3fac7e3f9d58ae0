// Binds Chameleon's graphs to a device: which weights each stage needs, and what the checkpoint can do.
import { present } from "../../base/assert.ts";
import type { Capabilities } from "../../base/requests.ts";
import type { Graph } from "../../graph/graph.ts";
import type { ResidentStage } from "../../session/residency.ts";
import { drawStage, openTokenizer, StageBinder, writeStage } from "../bind-stages.ts";
import type { GraphOptions, InterleaveStage, StageContext, Stages, StagesInfo } from "../family.ts";
import { embedGraph } from "../llama-graphs.ts";
import type { ChameleonConfig } from "./config.ts";
import { prefillGraph } from "./core.ts";
import { ChameleonDrawer, drawDefaults, maxImages, WITHOUT_DECODER } from "./drawer.ts";
import { ChameleonInterleaver } from "./interleaver.ts";
import { decoderGraph, encoderGraph, PictureCodes } from "./picture-codes.ts";
import type { ChameleonTokens } from "./prompt.ts";
import { ChameleonWriter } from "./writer.ts";

/** Anole draws; Chameleon was published without the weights for it. */
export function chameleonCapabilities({ canDraw }: ChameleonConfig): Capabilities {
  return { generateText: true, generateImage: canDraw, editImage: canDraw, converse: canDraw };
}

/** The graphs of the one stage; sequence sizes do not matter for the weights they bind. */
export function chameleonGraphs(
  config: ChameleonConfig,
  options: GraphOptions,
): Record<"core", Graph[]> {
  return {
    // Text and pictures go through the same core, and the rest is small beside it.
    core: [
      encoderGraph(config, options),
      embedGraph(config, options),
      prefillGraph(config, 1, options),
      ...(config.canDraw ? [decoderGraph(config, options)] : []),
    ],
  };
}

/** Uploads the weights and compiles what the checkpoint can do. */
export async function createChameleonStages(
  context: StageContext<ChameleonConfig>,
): Promise<Stages> {
  const { config, files } = context;
  const { vocabulary, canDraw } = config;
  const tokenizer = openTokenizer(files).withAddedTokens(vocabulary.controls);
  const binder = new StageBinder(context, chameleonGraphs);
  const core = binder.add("core", () => openModel(context, { tokenizer, vocabulary }));
  // The drawing loop is compiled by the first drawing: its caches take gigabytes.
  const opened = await binder.open(() => ({
    decode: core.opened?.writer.capture,
    draw: core.opened?.drawer?.capture,
  }));
  const writer = { enter: async (abort?: AbortSignal) => (await core.enter(abort)).writer };
  const write = writeStage(writer, { tokenizer, stopIds: new Set([vocabulary.eos]) });
  if (!canDraw) {
    return { ...opened, info: () => cannotDraw(opened), write, whyNoDrawing: WITHOUT_DECODER };
  }
  const drawer = {
    enter: async (abort?: AbortSignal) => present((await core.enter(abort)).drawer, "drawer"),
  };
  const facts = {
    maxImages: maxImages(config),
    defaults: (images: readonly unknown[]) => drawDefaults(config, images.length > 0),
  };
  const draw = drawStage(drawer, facts);
  return { ...opened, write, draw, interleave: interleaveStage(config, core) };
}

function cannotDraw(opened: Pick<Stages, "info">): StagesInfo {
  const facts = opened.info();
  return { ...facts, notes: [...facts.notes, WITHOUT_DECODER] };
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
