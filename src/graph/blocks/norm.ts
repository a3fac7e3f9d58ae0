// Normalizations, statistics in f32 as the references compute them.
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { add, mul } from "../ops/elementwise.ts";
import { cast, reshape } from "../ops/movement.ts";
import {
  instanceNormalization,
  layerNormalization,
  simplifiedLayerNorm,
} from "../ops/reduction.ts";
import { fixed } from "../ops/sizes.ts";
import { plain } from "./linear.ts";

/** x / rms(x) * weight over the last axis. */
export function rmsNorm(
  g: GraphBuilder,
  x: Value,
  { weight, eps }: { readonly weight: string; readonly eps: number },
): Value {
  return simplifiedLayerNorm(g, x, plain(g, weight, [fixed(x.shape.at(-1))]), eps);
}

/** (x - mean) / std over the last axis; `name` has a weight and a bias. */
export function layerNorm(
  g: GraphBuilder,
  x: Value,
  { name, eps }: { readonly name: string; readonly eps: number },
): Value {
  const size = [fixed(x.shape.at(-1))];
  const [weight, bias] = [plain(g, `${name}.weight`, size), plain(g, `${name}.bias`, size)];
  return layerNormalization(g, x, weight, bias, eps);
}

/**
 * Normalizes each group of channels of [rows, channels, ...] over its channels and pixels.
 * The WebGPU provider has no whole GroupNorm kernel: it is an instance norm over the groups of all rows, then an
 * affine.
 */
export function groupNorm(
  g: GraphBuilder,
  x: Value,
  { name, groups, eps }: { readonly name: string; readonly groups: number; readonly eps: number },
): Value {
  const channels = fixed(x.shape[1]);
  const all = fixed(x.shape[0]) * groups;
  const ones = g.constant("f32", [all], new Float32Array(all).fill(1));
  const zeros = g.constant("f32", [all], new Float32Array(all));
  const grouped = cast(g, reshape(g, x, [1, all, -1]), "f32");
  const normed = cast(g, instanceNormalization(g, grouped, ones, zeros, eps), x.dtype);
  const perChannel = [channels, ...x.shape.slice(2).map(() => 1)];
  const weight = reshape(g, plain(g, `${name}.weight`, [channels]), perChannel);
  const bias = reshape(g, plain(g, `${name}.bias`, [channels]), perChannel);
  return add(g, mul(g, reshape(g, normed, x.shape), weight), bias);
}
