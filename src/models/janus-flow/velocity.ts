// JanusFlow's velocity field: convolutional encoder -> core over a cached prompt -> convolutional decoder.
// Both rows (conditional, unconditional) see the same latents, so the encoder runs once for them.
import { linear } from "../../graph/blocks/linear.ts";
import { llamaBody } from "../../graph/blocks/llama.ts";
import { rmsNorm } from "../../graph/blocks/norm.ts";
import { timeEmbedding } from "../../graph/blocks/time-embedding.ts";
import { uvitDecoder, uvitEncoder } from "../../graph/blocks/uvit.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { cast, concat, expand, reshape, slice, transpose } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { JanusFlowConfig } from "./config.ts";

/** [rows, columns] of image tokens. */
export function tokenGrid({ latentShape, encoder }: JanusFlowConfig): [number, number] {
  const [, height, width] = latentShape;
  return [height / encoder.patchSize, width / encoder.patchSize];
}

/** Slots of one velocity call: the timestep and every image token. */
export function flowLength(config: JanusFlowConfig): number {
  const [rows, columns] = tokenGrid(config);
  return 1 + rows * columns;
}

/**
 * latents f32 [1, channels, height, width], time f32 [1] in [0, 1), prompt keys and values of `prefix`
 * slots -> velocity f32 [rows, channels, height, width].
 *
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/demo/app_janusflow.py#L86-L131
 */
export function velocityGraph(
  config: JanusFlowConfig,
  rows: number,
  prefix: number,
  options: GraphOptions,
): Graph {
  const { language, encoder, decoder } = config;
  const hidden = language.hiddenSize;
  const [gridRows, gridColumns] = tokenGrid(config);
  const g = new GraphBuilder({ name: "velocity", ...options });
  const latents = g.input("latents", "f32", [1, ...config.latentShape]);
  const time = g.input("time", "f32", [1]);

  const embeddedTime = timeEmbedding(g, time, {
    prefix: "vision_gen_enc_model.time_embed.",
    width: encoder.channels,
    hidden,
  }); // [1, hidden]
  const encoded = uvitEncoder(g, cast(g, latents, g.float), embeddedTime, {
    prefix: "vision_gen_enc_model.",
    ...encoder,
    hidden,
  }); // [1, channels, grid rows, grid columns]
  const tokens = linear(g, toTokens(g, encoded, encoder.channels), {
    weight: "vision_gen_enc_aligner.weight",
    bias: "vision_gen_enc_aligner.bias",
    out: hidden,
  }); // [1, tokens, hidden]
  const sequence = concat(g, [reshape(g, embeddedTime, [1, 1, hidden]), tokens], 1);
  const length = flowLength(config);
  const state = llamaBody(g, expand(g, sequence, [rows, length, hidden]), language, {
    kind: "prefix",
    rows,
    prefix,
    length,
  }); // [rows, 1 + tokens, hidden]

  const image = slice(g, state, { axis: 1, start: 1 });
  const normed = rmsNorm(g, image, {
    weight: "vision_gen_dec_aligner_norm.weight",
    eps: language.rmsNormEps,
  });
  const aligned = linear(g, normed, {
    weight: "vision_gen_dec_aligner.weight",
    bias: "vision_gen_dec_aligner.bias",
    out: decoder.channels,
  }); // [rows, tokens, channels]
  const features = toGrid(g, aligned, [rows, decoder.channels, gridRows, gridColumns]);
  const velocity = uvitDecoder(g, features, encoded, embeddedTime, {
    prefix: "vision_gen_dec_model.",
    ...decoder,
    skipChannels: encoder.channels,
    hidden,
  });
  g.output("velocity", cast(g, velocity, "f32"));
  return g.build();
}

function toTokens(g: GraphBuilder, grid: Value, channels: number): Value {
  return transpose(g, reshape(g, grid, [1, channels, -1]), [0, 2, 1]); // [1, tokens, channels]
}

function toGrid(
  g: GraphBuilder,
  tokens: Value,
  shape: readonly [number, number, number, number],
): Value {
  return reshape(g, transpose(g, tokens, [0, 2, 1]), shape); // [rows, channels, grid rows, grid columns]
}
