// diffusers' AutoencoderKL (the SDXL VAE): residual blocks, one attention in the middle, nearest upsampling
// in the decoder and strided convolutions in the encoder.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/models/autoencoders/vae.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { convolution, type ConvolutionOptions } from "../ops/convolution.ts";
import { add, mul, silu, softmax } from "../ops/elementwise.ts";
import { matmul } from "../ops/linear.ts";
import { padEnd, reshape, split, transpose, upsampleNearest } from "../ops/movement.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { linear, plain } from "./linear.ts";
import { groupNorm } from "./norm.ts";

/** Sizes of an autoencoder, as its config.json has them. */
export interface VaeConfig {
  /** Channels of each level, the highest resolution first. */
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normNumGroups: number;
  readonly latentChannels: number;
  readonly useQuantConv: boolean;
  readonly usePostQuantConv: boolean;
  readonly midAttention: boolean;
}

const EPS = 1e-6;
const PIXEL_CHANNELS = 3;

/** latents [1, latent channels, h, w] -> image [1, 3, h 2^(levels-1), w 2^(levels-1)], nominally in [-1, 1]. */
export function vaeDecoder(g: GraphBuilder, latents: Value, config: VaeConfig): Value {
  const levels = config.blockOutChannels.toReversed();
  const deepest = present(levels[0], "level");
  let x = config.usePostQuantConv
    ? conv(g, latents, "post_quant_conv", config.latentChannels, 1)
    : latents;
  x = conv(g, x, "decoder.conv_in", deepest, 3);
  x = midBlock(g, x, "decoder.mid_block.", config);
  for (const [level, channels] of levels.entries()) {
    const name = `decoder.up_blocks.${level}.`;
    for (let layer = 0; layer <= config.layersPerBlock; layer++) {
      x = residual(g, x, `${name}resnets.${layer}.`, channels, config);
    }
    if (level === levels.length - 1) continue;
    x = conv(g, upsampleNearest(g, x), `${name}upsamplers.0.conv`, channels, 3);
  }
  const normed = norm(g, x, "decoder.conv_norm_out", config);
  return conv(g, silu(g, normed), "decoder.conv_out", PIXEL_CHANNELS, 3);
}

/** image [1, 3, height, width] in [-1, 1] -> mean and log variance of the latents, [1, latent channels, h, w] each. */
export function vaeEncoder(
  g: GraphBuilder,
  image: Value,
  config: VaeConfig,
): { readonly mean: Value; readonly logVariance: Value } {
  const levels = config.blockOutChannels;
  const moments = 2 * config.latentChannels;
  let x = conv(g, image, "encoder.conv_in", present(levels[0], "level"), 3);
  for (const [level, channels] of levels.entries()) {
    const name = `encoder.down_blocks.${level}.`;
    for (let layer = 0; layer < config.layersPerBlock; layer++) {
      x = residual(g, x, `${name}resnets.${layer}.`, channels, config);
    }
    if (level === levels.length - 1) continue;
    // The reference pads right and bottom only.
    const padded = padEnd(g, x, 1);
    x = conv(g, padded, `${name}downsamplers.0.conv`, channels, 3, { stride: 2, padding: 0 });
  }
  x = midBlock(g, x, "encoder.mid_block.", config);
  x = conv(g, silu(g, norm(g, x, "encoder.conv_norm_out", config)), "encoder.conv_out", moments, 3);
  if (config.useQuantConv) x = conv(g, x, "quant_conv", moments, 1);
  const [mean, logVariance] = split(g, x, 2, 1);
  return { mean: present(mean, "mean"), logVariance: present(logVariance, "log variance") };
}

function midBlock(g: GraphBuilder, x: Value, name: string, config: VaeConfig): Value {
  const [, channels] = imageSizes(x);
  const before = residual(g, x, `${name}resnets.0.`, channels, config);
  const seen = config.midAttention
    ? pixelAttention(g, before, `${name}attentions.0.`, config)
    : before;
  return residual(g, seen, `${name}resnets.1.`, channels, config);
}

function residual(
  g: GraphBuilder,
  x: Value,
  name: string,
  channels: number,
  config: VaeConfig,
): Value {
  let y = conv(g, silu(g, norm(g, x, `${name}norm1`, config)), `${name}conv1`, channels, 3);
  y = conv(g, silu(g, norm(g, y, `${name}norm2`, config)), `${name}conv2`, channels, 3);
  const shortcut = x.shape[1] === channels ? x : conv(g, x, `${name}conv_shortcut`, channels, 1);
  return add(g, shortcut, y);
}

/**
 * One head over all pixels. Linear layers may be stored as 1 x 1 convolutions under their older names.
 * Spelled out: onnxruntime's fused attention has no tile for a head of 512 and falls back to a kernel that
 * took 2.5 times as long for 48 x 48 pixels (onnxruntime-web 1.30, SwiftShader).
 */
function pixelAttention(g: GraphBuilder, x: Value, name: string, config: VaeConfig): Value {
  const [, channels, height, width] = imageSizes(x);
  const normed = norm(g, x, `${name}group_norm`, config);
  const flat = reshape(g, normed, [1, channels, height * width]);
  const pixels = transpose(g, flat, [0, 2, 1]); // [1, pixels, channels]
  const project = (input: Value, current: string, old: string): Value =>
    linear(g, input, {
      weight: `${name}${current}.weight`,
      bias: `${name}${current}.bias`,
      aliases: [`${name}${old}.weight`],
      biasAliases: [`${name}${old}.bias`],
      out: channels,
      keepAtLeast: "f16",
    });
  const q = mul(g, project(pixels, "to_q", "query"), g.scalar(channels ** -0.5));
  const k = project(pixels, "to_k", "key");
  const v = project(pixels, "to_v", "value");
  const scores = softmax(g, matmul(g, q, transpose(g, k, [0, 2, 1]))); // [1, pixels, pixels]
  const out = project(matmul(g, scores, v), "to_out.0", "proj_attn");
  return add(g, reshape(g, transpose(g, out, [0, 2, 1]), x.shape), x);
}

function norm(g: GraphBuilder, x: Value, name: string, { normNumGroups }: VaeConfig): Value {
  return groupNorm(g, x, { name, groups: normNumGroups, eps: EPS });
}

function conv(
  g: GraphBuilder,
  x: Value,
  name: string,
  channels: number,
  size: number,
  options: ConvolutionOptions = { padding: (size - 1) / 2 },
): Value {
  const kernel = plain(g, `${name}.weight`, [channels, fixed(x.shape[1]), size, size]);
  return convolution(g, x, kernel, plain(g, `${name}.bias`, [channels]), options);
}
