// The transformer inside a UNet: pixels attend to each other, then to a context, then a gated MLP.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/models/transformers/transformer_2d.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { multiHeadAttention } from "../ops/attention.ts";
import { add, gelu, mul } from "../ops/elementwise.ts";
import { reshape, split, transpose } from "../ops/movement.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { biased, linear } from "./linear.ts";
import { groupNorm, layerNorm } from "./norm.ts";

/** Sizes of a transformer and the prefix of its checkpoint names. */
export interface ImageTransformerConfig {
  readonly prefix: string;
  readonly layers: number;
  readonly heads: number;
  readonly normNumGroups: number;
}

const GROUP_EPS = 1e-6;
const LAYER_EPS = 1e-5;
const MLP_GROWTH = 4;

/** x [rows, channels, height, width] and context [rows, vectors, width] -> x changed. */
export function imageTransformer(
  g: GraphBuilder,
  x: Value,
  context: Value,
  { prefix, layers, heads, normNumGroups }: ImageTransformerConfig,
): Value {
  const [rows, channels, height, width] = imageSizes(x);
  const normed = groupNorm(g, x, { name: `${prefix}norm`, groups: normNumGroups, eps: GROUP_EPS });
  const flat = reshape(g, normed, [rows, channels, height * width]);
  const pixels = transpose(g, flat, [0, 2, 1]); // [rows, pixels, channels]
  let y = linear(g, pixels, biased(`${prefix}proj_in`, channels));
  for (let layer = 0; layer < layers; layer++) {
    y = transformerBlock(g, y, context, `${prefix}transformer_blocks.${layer}.`, heads);
  }
  const out = linear(g, y, biased(`${prefix}proj_out`, channels));
  return add(g, reshape(g, transpose(g, out, [0, 2, 1]), x.shape), x);
}

function transformerBlock(
  g: GraphBuilder,
  x: Value,
  context: Value,
  name: string,
  heads: number,
): Value {
  const norm = (value: Value, index: number): Value =>
    layerNorm(g, value, { name: `${name}norm${index}`, eps: LAYER_EPS });
  const own = norm(x, 1);
  const mixed = add(g, x, attention(g, own, own, `${name}attn1.`, heads));
  const seen = add(g, mixed, attention(g, norm(mixed, 2), context, `${name}attn2.`, heads));
  return add(g, seen, gatedMlp(g, norm(seen, 3), `${name}ff.net.`));
}

function attention(g: GraphBuilder, x: Value, context: Value, name: string, heads: number): Value {
  const out = fixed(x.shape.at(-1));
  const project = (input: Value, part: string): Value =>
    linear(g, input, { weight: `${name}${part}.weight`, out });
  const q = project(x, "to_q");
  const attended = multiHeadAttention(
    g,
    { q, k: project(context, "to_k"), v: project(context, "to_v") },
    heads,
  );
  return linear(g, attended, biased(`${name}to_out.0`, out));
}

function gatedMlp(g: GraphBuilder, x: Value, name: string): Value {
  const width = fixed(x.shape.at(-1));
  const both = linear(g, x, biased(`${name}0.proj`, 2 * MLP_GROWTH * width));
  const [value, gate] = split(g, both, 2, 2);
  const inner = mul(g, present(value, "value"), gelu(g, present(gate, "gate")));
  return linear(g, inner, biased(`${name}2`, width));
}
