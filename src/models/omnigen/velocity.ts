// OmniGen's velocity field: [time, patches of the latents] through the core over cached prompts, then one
// layer that the time steers. All rows see the same latents.
// https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/model.py#L308-L356
import { present } from "../../base/assert.ts";
import { biased, linear } from "../../graph/blocks/linear.ts";
import { llamaBody } from "../../graph/blocks/llama.ts";
import { timeEmbedding } from "../../graph/blocks/time-embedding.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add, silu } from "../../graph/ops/elementwise.ts";
import {
  cast,
  concat,
  expand,
  reshape,
  slice,
  split,
  transpose,
  unpatchify,
} from "../../graph/ops/movement.ts";
import { layerNormalization } from "../../graph/ops/reduction.ts";
import type { GraphOptions } from "../family.ts";
import type { OmniGenConfig } from "./config.ts";
import type { LatentSize } from "./latents.ts";
import { patchTokens } from "./patches.ts";

/** Sizes of a field: rows of guidance, slots of the padded prompts, the picture's latents. */
export interface FieldShape {
  readonly rows: number;
  readonly prefix: number;
  readonly size: LatentSize;
}

// FinalLayer's norm; it has no weights of its own.
const FINAL_EPS = 1e-6;
// What the time says reaches every number of the picture, and is 1 % of the weights.
const TIME_STORAGE = "q8";

/** Slots of one velocity call: the time and every patch. */
export function flowLength({ patchSize }: OmniGenConfig, [height, width]: LatentSize): number {
  return 1 + (height / patchSize) * (width / patchSize);
}

/**
 * latents f32 [1, channels, height, width], time f32 [1] in [0, 1], keys and values of the prompts -> velocity
 * f32 [rows, channels, height, width], noise to data.
 */
export function velocityGraph(
  config: OmniGenConfig,
  { rows, prefix, size }: FieldShape,
  options: GraphOptions,
): Graph {
  const { language, vae } = config;
  const hidden = language.hiddenSize;
  const g = new GraphBuilder({ name: "velocity", ...options });
  const latents = g.input("latents", "f32", [1, vae.latentChannels, ...size]);
  const time = g.input("time", "f32", [1]);
  const patches = patchTokens(g, cast(g, latents, g.float), "output", config);
  const token = reshape(g, embedTime(g, time, "time_token.", config), [1, 1, hidden]);
  const sequence = concat(g, [token, patches], 1); // [1, 1 + patches, hidden]
  const length = flowLength(config, size);
  const state = llamaBody(g, expand(g, sequence, [rows, length, hidden]), language, {
    kind: "prefix",
    rows,
    prefix,
    length,
  });
  const image = slice(g, state, { axis: 1, start: 1 }); // [rows, patches, hidden]
  const values = finalLayer(g, image, embedTime(g, time, "t_embedder.", config), config);
  g.output("velocity", cast(g, toLatents(g, values, rows, size, config), "f32"));
  return g.build();
}

function embedTime(g: GraphBuilder, time: Value, prefix: string, config: OmniGenConfig): Value {
  return timeEmbedding(g, time, {
    prefix,
    width: config.timeWidth,
    hidden: config.language.hiddenSize,
    scale: 1,
    layers: ["mlp.0", "mlp.2"],
    keepAtLeast: TIME_STORAGE,
  });
}

/** x [rows, patches, hidden], time [1, hidden] -> [rows, patches, patch * patch * channels]. */
function finalLayer(g: GraphBuilder, x: Value, time: Value, config: OmniGenConfig): Value {
  const { patchSize, vae, language } = config;
  const width = 2 * language.hiddenSize;
  const steer = linear(g, silu(g, time), {
    ...biased("final_layer.adaLN_modulation.1", width),
    keepAtLeast: TIME_STORAGE,
  });
  const [shift, scale] = split(g, reshape(g, steer, [width]), 2, 0);
  const weight = add(g, present(scale, "scale"), g.scalar(1));
  const normed = layerNormalization(g, x, weight, present(shift, "shift"), FINAL_EPS);
  const out = patchSize ** 2 * vae.latentChannels;
  return linear(g, normed, { ...biased("final_layer.linear", out), keepAtLeast: "f16" });
}

/** [rows, patches, (y x c)] -> [rows, channels, height, width]. */
function toLatents(
  g: GraphBuilder,
  patches: Value,
  rows: number,
  [height, width]: LatentSize,
  { patchSize, vae }: OmniGenConfig,
): Value {
  const depth = patchSize ** 2 * vae.latentChannels;
  const shape = [rows, depth, height / patchSize, width / patchSize];
  return unpatchify(g, reshape(g, transpose(g, patches, [0, 2, 1]), shape), patchSize);
}
