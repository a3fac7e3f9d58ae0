// Binds OmniGen's graphs to a device: which weights each stage needs, and the one stage that tasks see.
import type { Drawing } from "../../base/drawing.ts";
import type { Graph } from "../../graph/graph.ts";
import type { ResidentStage } from "../../session/residency.ts";
import type { Tensor } from "../../session/runtime.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { openTokenizer, StageBinder } from "../bind-stages.ts";
import type { DrawRequest, GraphOptions, StageContext, Stages } from "../family.ts";
import { embedGraph } from "../llama-graphs.ts";
import type { OmniGenConfig } from "./config.ts";
import { promptGraph } from "./core.ts";
import { OmniGenDrawer } from "./drawer.ts";
import { decoderGraph, encoderGraph } from "./latents.ts";
import { pictureGraph } from "./patches.ts";
import { PictureReader } from "./pictures.ts";
import { drawDefaults, MAX_IMAGES, planDrawing } from "./plan.ts";
import { velocityGraph } from "./velocity.ts";

/** The graphs of both stages; sizes do not matter for the weights they bind. */
export function omniGenGraphs(
  config: OmniGenConfig,
  options: GraphOptions,
): Record<"see" | "draw", readonly Graph[]> {
  const size = [config.patchSize, config.patchSize] as const;
  return {
    see: [encoderGraph(config, size, options), pictureGraph(config, size, options)],
    draw: [
      embedGraph(config, options),
      promptGraph(config, 1, 1, options),
      velocityGraph(config, { rows: 1, prefix: 1, size }, options),
      decoderGraph(config, size, options),
    ],
  };
}

/** Uploads the weights and compiles what does not depend on sizes. */
export async function createOmniGenStages(context: StageContext<OmniGenConfig>): Promise<Stages> {
  const { config, files } = context;
  const tokenizer = openTokenizer(files);
  const binder = new StageBinder(context, omniGenGraphs);
  const draw = binder.add("draw", () => OmniGenDrawer.create(context));
  const see = binder.add("see", async () => new PictureReader(context));
  const opened = await binder.open(() => ({ flow: draw.opened?.capture }));
  return {
    ...opened,
    draw: {
      maxImages: MAX_IMAGES,
      defaults: (images) => drawDefaults(config, images),
      prepare: (request, abort) => prepare(context, { draw, see, tokenizer }, request, abort),
    },
  };
}

interface OpenParts {
  readonly draw: ResidentStage<OmniGenDrawer>;
  readonly see: ResidentStage<PictureReader>;
  readonly tokenizer: Tokenizer;
}

/** Checks the request, encodes its pictures, and fills in the prompts. */
async function prepare(
  { config }: StageContext<OmniGenConfig>,
  { draw, see, tokenizer }: OpenParts,
  request: DrawRequest,
  signal: AbortSignal | undefined,
): Promise<Drawing> {
  const plan = planDrawing(config, tokenizer, request);
  const features: Tensor[] = [];
  try {
    if (request.images.length > 0) {
      const reader = await see.enter(signal);
      for (const image of request.images) {
        signal?.throwIfAborted();
        features.push(await reader.read(image));
      }
    }
    return await (await draw.enter(signal)).prepare(plan, features, signal);
  } finally {
    for (const tensor of features) tensor.dispose();
  }
}
