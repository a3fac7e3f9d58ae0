// Convolutional autoencoders: residual blocks, attention in the middle and on chosen levels, nearest
// upsampling in the decoder and strided convolutions in the encoder. diffusers' AutoencoderKL (SDXL, FLUX)
// and the VQ-GANs of taming-transformers, Chameleon and Janus are this one network; names and sizes differ.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/models/autoencoders/vae.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { convolution, type ConvolutionOptions } from "../ops/convolution.ts";
import { add, bareSoftmax, blame, mul, silu } from "../ops/elementwise.ts";
import { matmul } from "../ops/linear.ts";
import { padEnd, reshape, split, transpose, upsampleNearest } from "../ops/movement.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { linear, plain } from "./linear.ts";
import { groupNorm } from "./norm.ts";
import { DIFFUSERS_NAMES, type AutoencoderNames } from "./vae-names.ts";

/** Sizes of an autoencoder, as its config.json has them. */
export interface VaeConfig {
  /** Channels of each level, the highest resolution first. */
  readonly blockOutChannels: readonly number[];
  /** Residual blocks of one level of the encoder; the decoder has one more. */
  readonly layersPerBlock: number;
  readonly normNumGroups: number;
  /** Channels of what is decoded: latents, or the vectors of a codebook. */
  readonly latentChannels: number;
  /** Channels between the quant convolutions and the networks; default `latentChannels`. */
  readonly innerChannels?: number;
  readonly useQuantConv: boolean;
  readonly usePostQuantConv: boolean;
  readonly midAttention: boolean;
  /** Levels with attention behind every residual block, 0 the highest resolution; default none. */
  readonly attentionLevels?: readonly number[];
  /** What the checkpoint calls the parts; default diffusers' names. */
  readonly names?: AutoencoderNames;
  /** What stands before every name; default nothing. */
  readonly prefix?: string;
}

/** A config with its defaults, and the half of the network that its names are in. */
interface Half extends VaeConfig {
  readonly names: AutoencoderNames;
  readonly prefix: string;
  readonly base: string;
}

/** Names and channels of one level. */
interface Level {
  readonly name: string;
  readonly channels: number;
  readonly blocks: number;
  readonly hasAttention: boolean;
}

const EPS = 1e-6;
const PIXEL_CHANNELS = 3;

/** latents [1, latent channels, h, w] -> image [1, 3, h 2^(levels-1), w 2^(levels-1)], nominally in [-1, 1]. */
export function vaeDecoder(g: GraphBuilder, latents: Value, config: VaeConfig): Value {
  const half = halfOf(config, "decoder");
  const { names, base, prefix } = half;
  const levels = config.blockOutChannels.map((_, depth) => upLevel(half, depth)).toReversed();
  const inner = config.innerChannels ?? config.latentChannels;
  let x = config.usePostQuantConv
    ? conv(g, latents, `${prefix}post_quant_conv`, inner, 1)
    : latents;
  x = conv(g, x, `${base}conv_in`, present(levels[0], "level").channels, 3);
  x = middle(g, x, half);
  for (const [index, level] of levels.entries()) {
    x = blocksOf(g, x, level, half);
    if (index === levels.length - 1) continue;
    x = conv(g, upsampleNearest(g, x), `${level.name}${names.upsample}`, level.channels, 3);
  }
  const normed = norm(g, x, `${base}${names.normOut}`, config);
  return conv(g, silu(g, normed), `${base}conv_out`, PIXEL_CHANNELS, 3);
}

/** image [1, 3, height, width] in [-1, 1] -> mean and log variance of the latents, [1, latent channels, h, w] each. */
export function vaeEncoder(
  g: GraphBuilder,
  image: Value,
  config: VaeConfig,
): { readonly mean: Value; readonly logVariance: Value } {
  const [mean, logVariance] = split(g, encode(g, image, config, 2), 2, 1);
  return { mean: present(mean, "mean"), logVariance: present(logVariance, "log variance") };
}

/** image [1, 3, height, width] in [-1, 1] -> features [1, latent channels, h, w], not yet codes (codebook.ts). */
export function vqEncoder(g: GraphBuilder, image: Value, config: VaeConfig): Value {
  return encode(g, image, config, 1);
}

/** @param moments - what is given for each latent: 2 for a mean and a log variance */
function encode(g: GraphBuilder, image: Value, config: VaeConfig, moments: 1 | 2): Value {
  const half = halfOf(config, "encoder");
  const { names, base, prefix } = half;
  const levels = config.blockOutChannels.map((_, depth) => downLevel(half, depth));
  const inner = config.innerChannels ?? config.latentChannels;
  let x = conv(g, image, `${base}conv_in`, present(levels[0], "level").channels, 3);
  for (const [index, level] of levels.entries()) {
    x = blocksOf(g, x, level, half);
    if (index === levels.length - 1) continue;
    // The reference pads right and bottom only.
    const options = { stride: 2, padding: 0 };
    x = conv(g, padEnd(g, x, 1), `${level.name}${names.downsample}`, level.channels, 3, options);
  }
  const normed = norm(g, middle(g, x, half), `${base}${names.normOut}`, config);
  x = conv(g, silu(g, normed), `${base}conv_out`, moments * inner, 3);
  if (!config.useQuantConv) return x;
  return conv(g, x, `${prefix}quant_conv`, moments * config.latentChannels, 1);
}

function halfOf(config: VaeConfig, name: "encoder" | "decoder"): Half {
  const { prefix = "", names = DIFFUSERS_NAMES } = config;
  return { ...config, names, prefix, base: `${prefix}${name}.` };
}

function downLevel({ base, names, layersPerBlock, ...half }: Half, depth: number): Level {
  return {
    name: `${base}${numbered(names.down, depth)}`,
    channels: present(half.blockOutChannels[depth], "level"),
    blocks: layersPerBlock,
    hasAttention: half.attentionLevels?.includes(depth) ?? false,
  };
}

function upLevel(half: Half, depth: number): Level {
  const { names, base, blockOutChannels } = half;
  const index = names.upStartsAt === "finest" ? depth : blockOutChannels.length - 1 - depth;
  const name = `${base}${numbered(names.up, index)}`;
  return { ...downLevel(half, depth), name, blocks: half.layersPerBlock + 1 };
}

function numbered(name: string, index: number): string {
  return name.replace("#", String(index));
}

function blocksOf(g: GraphBuilder, x: Value, level: Level, half: Half): Value {
  const { residual: block, attention } = half.names;
  let y = x;
  for (let index = 0; index < level.blocks; index++) {
    y = residual(g, y, `${level.name}${numbered(block, index)}`, level.channels, half);
    if (!level.hasAttention) continue;
    y = pixelAttention(g, y, `${level.name}${numbered(attention, index)}`, half);
  }
  return y;
}

function middle(g: GraphBuilder, x: Value, half: Half): Value {
  const [, channels] = imageSizes(x);
  const [first, attention, last] = half.names.middle;
  const before = residual(g, x, `${half.base}${first}`, channels, half);
  const seen = half.midAttention
    ? pixelAttention(g, before, `${half.base}${attention}`, half)
    : before;
  return residual(g, seen, `${half.base}${last}`, channels, half);
}

function residual(g: GraphBuilder, x: Value, name: string, channels: number, half: Half): Value {
  let y = conv(g, silu(g, norm(g, x, `${name}norm1`, half)), `${name}conv1`, channels, 3);
  y = conv(g, silu(g, norm(g, y, `${name}norm2`, half)), `${name}conv2`, channels, 3);
  const isSame = x.shape[1] === channels;
  const shortcut = isSame ? x : conv(g, x, `${name}${half.names.shortcut}`, channels, 1);
  return add(g, shortcut, y);
}

/**
 * One head over all pixels. Linear layers may be stored as 1 x 1 convolutions.
 * Spelled out: onnxruntime's fused attention has no tile for a head of 512 and falls back to a kernel that
 * took 2.5 times as long for 48 x 48 pixels (onnxruntime-web 1.30, SwiftShader).
 */
function pixelAttention(g: GraphBuilder, x: Value, name: string, half: Half): Value {
  const { attentionNorm, projections } = half.names;
  const [, channels, height, width] = imageSizes(x);
  const normed = norm(g, x, `${name}${attentionNorm}`, half);
  const flat = reshape(g, normed, [1, channels, height * width]);
  const pixels = transpose(g, flat, [0, 2, 1]); // [1, pixels, channels]
  const project = (input: Value, [current = "", ...old]: readonly string[]): Value =>
    linear(g, input, {
      weight: `${name}${current}.weight`,
      bias: `${name}${current}.bias`,
      aliases: old.map((other) => `${name}${other}.weight`),
      biasAliases: old.map((other) => `${name}${other}.bias`),
      out: channels,
      keepAtLeast: "f16",
    });
  const q = mul(g, project(pixels, projections.q), g.scalar(channels ** -0.5));
  const k = project(pixels, projections.k);
  const v = project(pixels, projections.v);
  const scores = bareSoftmax(g, matmul(g, q, transpose(g, k, [0, 2, 1]))); // [1, pixels, pixels]
  const attended = add(g, matmul(g, scores, v), add(g, blame(g, q), blame(g, k)));
  const out = project(attended, projections.out);
  return add(g, reshape(g, transpose(g, out, [0, 2, 1]), x.shape), x);
}

function norm(g: GraphBuilder, x: Value, name: string, config: VaeConfig): Value {
  return groupNorm(g, x, { name, groups: config.normNumGroups, eps: EPS });
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
