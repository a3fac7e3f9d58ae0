// A ConvNeXt V2 block whose output is scaled and shifted by the time embedding, after the residual.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/uvit.py#L285-L343
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { convolution } from "../ops/convolution.ts";
import { add, div, gelu, mul, silu } from "../ops/elementwise.ts";
import { cast, reshape, split, transpose } from "../ops/movement.ts";
import { reduceL2, reduceMean } from "../ops/reduction.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { biased, linear, plain } from "./linear.ts";
import { rmsNorm } from "./norm.ts";

/** Prefix of a block's checkpoint names, and the epsilon of its norm. */
export interface ConvNextConfig {
  readonly name: string;
  readonly normEps: number;
}

// res_ffn_factor of every published block.
const EXPANSION = 4;
const GRN_EPS = 1e-6;

/** x [rows, channels, height, width], time [1, hidden] -> the same shape as x. */
export function convNext(
  g: GraphBuilder,
  x: Value,
  time: Value,
  { name, normEps }: ConvNextConfig,
): Value {
  const [, channels] = imageSizes(x);
  const kernel = plain(g, `${name}depthwise.weight`, [channels, 1, 7, 7]);
  const bias = plain(g, `${name}depthwise.bias`, [channels]);
  const spread = convolution(g, x, kernel, bias, { padding: 3, groups: channels });
  const pixels = transpose(g, spread, [0, 2, 3, 1]); // [rows, height, width, channels]
  const normed = rmsNorm(g, pixels, { weight: `${name}norm.weight`, eps: normEps });
  const inner = linear(g, normed, biased(`${name}channelwise_linear_1`, channels * EXPANSION));
  const response = globalResponseNorm(g, gelu(g, inner), `${name}channelwise_norm`);
  const outer = linear(g, response, biased(`${name}channelwise_linear_2`, channels));
  const y = add(g, transpose(g, outer, [0, 3, 1, 2]), x);

  const steer = linear(g, silu(g, time), biased(`${name}cond_embeds_mapper`, 2 * channels));
  const [scale, shift] = split(g, reshape(g, steer, [1, 2 * channels, 1, 1]), 2, 1);
  const scaled = mul(g, y, add(g, present(scale, "scale"), g.scalar(1)));
  return add(g, scaled, present(shift, "shift"));
}

/**
 * Scales each channel by its norm over all pixels against the mean norm of the channels, in f32: the
 * squares of many pixels overflow f16. x [rows, height, width, channels].
 */
function globalResponseNorm(g: GraphBuilder, x: Value, name: string): Value {
  const channels = fixed(x.shape[3]);
  const wide = cast(g, x, "f32");
  const norms = reduceL2(g, wide, [1, 2]); // [rows, 1, 1, channels]
  const mean = add(g, reduceMean(g, norms, [3]), g.scalar(GRN_EPS, "f32"));
  const relative = cast(g, div(g, norms, mean), x.dtype);
  const gamma = plain(g, `${name}.weight`, [1, 1, 1, channels]);
  const beta = plain(g, `${name}.bias`, [1, 1, 1, channels]);
  const factor = add(g, mul(g, gamma, relative), g.scalar(1));
  return add(g, mul(g, x, factor), beta);
}
