// JanusFlow's ShallowUViT: one convolution into the core's grid, ConvNeXt blocks steered by the time, and
// one un-patching convolution out of it.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/uvit.py
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { convolution } from "../ops/convolution.ts";
import { concat, expand, pixelShuffle, transpose } from "../ops/movement.ts";
import { imageSizes } from "../ops/sizes.ts";
import { convNext } from "./convnext.ts";
import { plain } from "./linear.ts";
import { rmsNorm } from "./norm.ts";

/** Sizes of an encoder and the prefix of its checkpoint names. */
export interface UvitEncoderConfig {
  readonly prefix: string;
  readonly latentChannels: number;
  readonly patchSize: number;
  readonly channels: number;
  readonly blocks: number;
  readonly normEps: number;
  /** Width of the time embedding. */
  readonly hidden: number;
}

/** Sizes of a decoder: `channels` are those of the core's features. */
export interface UvitDecoderConfig extends UvitEncoderConfig {
  readonly skipChannels: number;
}

/** latents [1, latent channels, height, width], time [1, hidden] -> [1, channels, grid rows, grid columns]. */
export function uvitEncoder(
  g: GraphBuilder,
  latents: Value,
  time: Value,
  config: UvitEncoderConfig,
): Value {
  const { prefix, latentChannels, patchSize, channels } = config;
  const shape = [channels, latentChannels, patchSize, patchSize];
  const kernel = plain(g, `${prefix}in_conv.weight`, shape);
  const bias = plain(g, `${prefix}in_conv.bias`, [channels]);
  const grid = convolution(g, latents, kernel, bias, { stride: patchSize });
  return midBlock(g, grid, time, config);
}

/**
 * features [rows, channels, grid rows, grid columns] of the core and the encoder's output [1, ...] as the
 * long skip -> velocity [rows, latent channels, height, width].
 */
export function uvitDecoder(
  g: GraphBuilder,
  features: Value,
  encoded: Value,
  time: Value,
  config: UvitDecoderConfig,
): Value {
  const { prefix, latentChannels, patchSize, channels, skipChannels, normEps } = config;
  const normed = channelNorm(g, features, `${prefix}input_norm.weight`, normEps);
  const [rows, , height, width] = imageSizes(features);
  const skip = expand(g, encoded, [rows, skipChannels, height, width]);
  const mixed = midBlock(g, concat(g, [normed, skip], 1), time, config);
  const out = channelNorm(g, mixed, `${prefix}out_convs.0.norm.weight`, normEps);
  const name = `${prefix}out_convs.0.unpatch_conv`;
  const pixels = latentChannels * patchSize ** 2;
  const kernel = plain(g, `${name}.weight`, [pixels, channels + skipChannels, 1, 1]);
  const patches = convolution(g, out, kernel, plain(g, `${name}.bias`, [pixels]));
  return pixelShuffle(g, patches, patchSize);
}

function midBlock(g: GraphBuilder, x: Value, time: Value, config: UvitEncoderConfig): Value {
  let y = x;
  for (let block = 0; block < config.blocks; block++) {
    const name = `${config.prefix}mid_block.res_blocks.${block}.`;
    y = convNext(g, y, time, { name, normEps: config.normEps });
  }
  return y;
}

/** RMSNorm over the channels of [n, channels, height, width]. */
function channelNorm(g: GraphBuilder, x: Value, weight: string, eps: number): Value {
  const last = transpose(g, x, [0, 2, 3, 1]);
  return transpose(g, rmsNorm(g, last, { weight, eps }), [0, 3, 1, 2]);
}
