// SDXL's UNet: residual blocks that know the time, transformers that look at a context, a way down and a way up
// with skips between them.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/models/unets/unet_2d_condition.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { convolution } from "../ops/convolution.ts";
import { add, silu } from "../ops/elementwise.ts";
import { cast, concat, expand, reshape, upsampleNearest } from "../ops/movement.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { biased, linear, plain } from "./linear.ts";
import { groupNorm } from "./norm.ts";
import { timeEmbedding } from "./time-embedding.ts";
import { imageTransformer } from "./unet-transformer.ts";

/** Sizes of a UNet and the prefix of its checkpoint names. */
export interface UnetConfig {
  readonly prefix: string;
  readonly latentChannels: number;
  /** Channels of each level, the highest resolution first. */
  readonly blockOutChannels: readonly number[];
  /** Residual blocks of one level on the way down; one more on the way up. */
  readonly layersPerBlock: number;
  /** Transformer layers behind each residual block of a level; 0 = no transformer. */
  readonly transformerLayers: readonly number[];
  /** Attention heads of each level. */
  readonly heads: readonly number[];
  /** Width of the context's vectors. */
  readonly contextSize: number;
  /** Sinusoids of each of the six time ids. */
  readonly timeIdWidth: number;
  readonly normNumGroups: number;
  readonly normEps: number;
}

/** What the UNet looks at. */
export interface UnetInputs {
  /** [1, latent channels, height, width], the same for every row, scaled for their noise. */
  readonly latents: Value;
  /** f32 [1]: the time as the training counted it, 0..999. */
  readonly time: Value;
  /** [rows, vectors, context size] */
  readonly context: Value;
  /** [rows, pooled size] */
  readonly pooled: Value;
  /** Original height and width, top and left of the crop, height and width, in pixels. */
  readonly timeIds: readonly number[];
}

/** Everything that the parts have in common. */
interface Network {
  readonly g: GraphBuilder;
  readonly config: UnetConfig;
  /** Behind its SiLU, [rows, 4 * channels of the first level]. */
  readonly time: Value;
  readonly context: Value;
}

const TIME_GROWTH = 4;
const MAX_PERIOD = 10000;

/** Latents -> predicted noise [rows, latent channels, height, width]. */
export function unet(g: GraphBuilder, inputs: UnetInputs, config: UnetConfig): Value {
  const { prefix, blockOutChannels, layersPerBlock, latentChannels } = config;
  const { latents, context } = inputs;
  const [, , height, width] = imageSizes(latents);
  const first = present(blockOutChannels[0], "level");
  const net = { g, config, context, time: silu(g, embedTime(g, inputs, config)) };
  const seen = conv(g, latents, `${prefix}conv_in`, first); // one row: all rows begin alike
  let x = expand(g, seen, [fixed(context.shape[0]), first, height, width]);
  const skips = [x];
  for (const level of blockOutChannels.keys()) x = down(net, x, level, skips);
  x = middle(net, x);
  for (const level of [...blockOutChannels.keys()].toReversed()) {
    x = up(net, x, level, skips.splice(-layersPerBlock - 1));
  }
  const normed = norm(net, x, `${prefix}conv_norm_out`);
  return conv(g, silu(g, normed), `${prefix}conv_out`, latentChannels);
}

/** Time, pooled vector and time ids as one vector [rows, 4 * channels of the first level]. */
function embedTime(
  g: GraphBuilder,
  { time, pooled, timeIds }: UnetInputs,
  { prefix, blockOutChannels, timeIdWidth }: UnetConfig,
): Value {
  const width = present(blockOutChannels[0], "level");
  const hidden = TIME_GROWTH * width;
  const name = `${prefix}time_embedding.`;
  const embedded = timeEmbedding(g, time, { prefix: name, width, hidden, scale: 1 }); // [1, hidden]
  const ids = timeIds.flatMap((id) => waves(id, timeIdWidth));
  const constant = g.constant("f32", [1, ids.length], Float32Array.from(ids));
  const rows = fixed(pooled.shape[0]);
  const added = concat(g, [pooled, expand(g, cast(g, constant, g.float), [rows, ids.length])], 1);
  const inner = silu(g, linear(g, added, biased(`${prefix}add_embedding.linear_1`, hidden)));
  const extra = linear(g, inner, biased(`${prefix}add_embedding.linear_2`, hidden));
  return add(g, extra, embedded); // [rows, hidden]
}

/** Cosines and then sines of a number. */
function waves(value: number, width: number): number[] {
  const half = width / 2;
  const angles = Array.from({ length: half }, (_, i) => value * MAX_PERIOD ** (-i / half));
  return [...angles.map(Math.cos), ...angles.map(Math.sin)];
}

function down(net: Network, x: Value, level: number, skips: Value[]): Value {
  const { g, config } = net;
  const name = `${config.prefix}down_blocks.${level}.`;
  let y = x;
  for (let index = 0; index < config.layersPerBlock; index++) {
    y = block(net, y, name, { level, index });
    skips.push(y);
  }
  if (level === config.blockOutChannels.length - 1) return y;
  y = conv(g, y, `${name}downsamplers.0.conv`, channelsOf(config, level), { stride: 2 });
  skips.push(y);
  return y;
}

function middle(net: Network, x: Value): Value {
  const { config } = net;
  const level = config.blockOutChannels.length - 1;
  const name = `${config.prefix}mid_block.`;
  const channels = channelsOf(config, level);
  const before = residual(net, x, `${name}resnets.0.`, channels);
  const seen = transformer(net, before, `${name}attentions.0.`, level);
  return residual(net, seen, `${name}resnets.1.`, channels);
}

/** @param skips - of this level, the newest last */
function up(net: Network, x: Value, level: number, skips: Value[]): Value {
  const { g, config } = net;
  const name = `${config.prefix}up_blocks.${config.blockOutChannels.length - 1 - level}.`;
  let y = x;
  for (const [index, skip] of skips.toReversed().entries()) {
    y = block(net, concat(g, [y, skip], 1), name, { level, index });
  }
  if (level === 0) return y;
  return conv(g, upsampleNearest(g, y), `${name}upsamplers.0.conv`, channelsOf(config, level));
}

/** One residual block and the transformer behind it, where the level has any. */
function block(
  net: Network,
  x: Value,
  name: string,
  { level, index }: { readonly level: number; readonly index: number },
): Value {
  const { config } = net;
  const y = residual(net, x, `${name}resnets.${index}.`, channelsOf(config, level));
  if (config.transformerLayers[level] === 0) return y;
  return transformer(net, y, `${name}attentions.${index}.`, level);
}

function transformer(
  { g, config, context }: Network,
  x: Value,
  name: string,
  level: number,
): Value {
  return imageTransformer(g, x, context, {
    prefix: name,
    layers: present(config.transformerLayers[level], "layers"),
    heads: present(config.heads[level], "heads"),
    normNumGroups: config.normNumGroups,
  });
}

function residual(net: Network, x: Value, name: string, channels: number): Value {
  const { g, time } = net;
  const before = conv(g, silu(g, norm(net, x, `${name}norm1`)), `${name}conv1`, channels);
  const shift = linear(g, time, biased(`${name}time_emb_proj`, channels)); // [rows, channels]
  const rows = fixed(shift.shape[0]);
  const timed = add(g, before, reshape(g, shift, [rows, channels, 1, 1]));
  const y = conv(g, silu(g, norm(net, timed, `${name}norm2`)), `${name}conv2`, channels);
  const isSame = x.shape[1] === channels;
  const shortcut = isSame ? x : conv(g, x, `${name}conv_shortcut`, channels, { size: 1 });
  return add(g, shortcut, y);
}

function channelsOf({ blockOutChannels }: UnetConfig, level: number): number {
  return present(blockOutChannels[level], "level");
}

function norm({ g, config }: Network, x: Value, name: string): Value {
  return groupNorm(g, x, { name, groups: config.normNumGroups, eps: config.normEps });
}

function conv(
  g: GraphBuilder,
  x: Value,
  name: string,
  channels: number,
  { size = 3, stride = 1 }: { readonly size?: number; readonly stride?: number } = {},
): Value {
  const kernel = plain(g, `${name}.weight`, [channels, fixed(x.shape[1]), size, size]);
  const options = { stride, padding: (size - 1) / 2 };
  return convolution(g, x, kernel, plain(g, `${name}.bias`, [channels]), options);
}
