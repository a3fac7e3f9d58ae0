// transfusion-pytorch's Transformer as a graph. Text and pictures pass the same attention and feed-forward;
// what differs is how each sublayer's input is normed and its output weighed. Every layer's output is a
// softmax over everything the layers before it have said.
// https://github.com/lucidrains/transfusion-pytorch/blob/3dab4c2/transfusion_pytorch/transfusion.py#L560-L1270
import { present } from "../../base/assert.ts";
import { linear, plain } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { add, gelu, mul, sigmoid, softmax, sub } from "../../graph/ops/elementwise.ts";
import { matmul } from "../../graph/ops/linear.ts";
import { concat, reshape, split } from "../../graph/ops/movement.ts";
import { layerNormalization, reduceMean, simplifiedLayerNorm } from "../../graph/ops/reduction.ts";
import { attentionProjections, type Attend } from "./attention.ts";
import type { TransformerConfig } from "./config.ts";
import { onePlus, RMS_EPS, unitRms } from "./unit-norm.ts";

/** What the slots of a run are. `condition` is a picture's time, [1, 4 dim]. */
export type Slots =
  | { readonly kind: "text" }
  | { readonly kind: "picture"; readonly condition: Value }
  /** `isPicture` [1, slots, 1]: 1 where a slot is one of a picture's, else 0. */
  | { readonly kind: "mixed"; readonly condition: Value; readonly isPicture: Value };

const LAYER_NORM_EPS = 1e-5;

/** Slots [rows, slots, dim] -> hidden states behind the final norm, of the same shape. */
export function transformer(
  g: GraphBuilder,
  slots: Value,
  config: TransformerConfig,
  kind: Slots,
  attend: Attend,
): Value {
  const { depth, unetSkips } = config;
  const skips: Value[] = [];
  const project = attentionProjections(g, config, attend);
  let said = newVoice(g, slots);
  let x = slots;
  for (let layer = 0; layer < depth; layer++) {
    const name = `transformer.layers.${layer}.`;
    if (layer + 1 <= Math.floor(depth / 2)) skips.push(x);
    else if (unetSkips && layer >= depth / 2)
      x = withSkip(g, x, present(skips.pop(), "skip"), name);
    const attention = (input: Value): Value => project(input, `${name}1.fn.`, layer);
    x = add(g, adaptive(g, x, `${name}1.`, kind, attention), x);
    x = add(
      g,
      adaptive(g, x, `${name}2.`, kind, (y) => geglu(g, y, config, `${name}2.fn.`)),
      x,
    );
    said = concat(g, [said, newVoice(g, x)], 2);
    x = mixVoices(g, said, `${name}3.`, slots.shape);
  }
  return unitRms(g, x, "transformer.norm.gamma");
}

/** A sublayer between the norm and the weight that its slots ask for; the caller adds it to x. */
function adaptive(
  g: GraphBuilder,
  x: Value,
  name: string,
  kind: Slots,
  sublayer: (input: Value) => Value,
): Value {
  const normed = (weight: Value, bias?: Value): Value =>
    layerNormalization(g, x, weight, bias, LAYER_NORM_EPS);
  if (kind.kind === "text") {
    return mul(g, sublayer(normed(textNorm(g, x, name))), textScale(g, x, name));
  }
  const { condition } = kind;
  const { scale, shift } = film(g, x, name, condition);
  const picture = normed(scale, shift);
  if (kind.kind === "picture") {
    return mul(g, sublayer(picture), pictureScale(g, x, name, condition));
  }
  const { isPicture } = kind;
  const out = sublayer(choose(g, normed(textNorm(g, x, name)), picture, isPicture));
  const scales = [textScale(g, x, name), pictureScale(g, x, name, condition)] as const;
  return mul(g, out, choose(g, ...scales, isPicture));
}

/** a where the choice is 0, b where it is 1. */
function choose(g: GraphBuilder, a: Value, b: Value, choice: Value): Value {
  return add(g, a, mul(g, sub(g, b, a), choice));
}

function textNorm(g: GraphBuilder, x: Value, name: string): Value {
  return onePlus(g, plain(g, `${name}layernorm_gamma`, [sizeOf(x)]));
}

function textScale(g: GraphBuilder, x: Value, name: string): Value {
  return onePlus(g, plain(g, `${name}layerscale`, [sizeOf(x)]));
}

function film(
  g: GraphBuilder,
  x: Value,
  name: string,
  condition: Value,
): { readonly scale: Value; readonly shift: Value } {
  const dim = sizeOf(x);
  const layer = { weight: `${name}to_film.weight`, bias: `${name}to_film.bias`, out: 2 * dim };
  const [gamma, beta] = split(g, linear(g, condition, layer), 2, 1);
  return {
    scale: onePlus(g, reshape(g, present(gamma, "gamma"), [dim])),
    shift: reshape(g, present(beta, "beta"), [dim]),
  };
}

function pictureScale(g: GraphBuilder, x: Value, name: string, condition: Value): Value {
  const dim = sizeOf(x);
  const weight = `${name}to_ada_ln_zero.weight`;
  const layer = { weight, bias: `${name}to_ada_ln_zero.bias`, out: dim };
  return reshape(g, sigmoid(g, linear(g, condition, layer)), [dim]);
}

function geglu(g: GraphBuilder, x: Value, config: TransformerConfig, name: string): Value {
  const { innerSize, dim } = config;
  const first = { weight: `${name}net.0.weight`, bias: `${name}net.0.bias`, out: 2 * innerSize };
  const [value, gate] = split(g, linear(g, x, first), 2, 2);
  const inner = mul(g, gelu(g, present(gate, "gate")), present(value, "value"));
  return linear(g, inner, { weight: `${name}net.3.weight`, bias: `${name}net.3.bias`, out: dim });
}

function withSkip(g: GraphBuilder, x: Value, skip: Value, name: string): Value {
  const layer = { weight: `${name}0.weight`, out: sizeOf(x) };
  return add(g, linear(g, concat(g, [x, skip], 2), layer), x);
}

/** [rows, slots, dim] -> [rows, slots, 1, dim]: one more of what was said. */
function newVoice(g: GraphBuilder, x: Value): Value {
  const [rows = 1, slots = 1, dim = 1] = x.shape;
  return reshape(g, x, [rows, slots, 1, dim]);
}

/** said [rows, slots, voices, dim] -> their mean by a softmax over a learned query, [rows, slots, dim]. */
function mixVoices(g: GraphBuilder, said: Value, name: string, shape: Value["shape"]): Value {
  const [rows = 1, slots = 1, dim] = shape;
  const width = Number(dim);
  const gamma = onePlus(g, plain(g, `${name}norm_keys.gamma`, [width]));
  const query = mul(g, gamma, plain(g, `${name}pseudo_queries`, [width]));
  const products = simplifiedLayerNorm(g, said, query, RMS_EPS);
  // the mean of the products times the width is their sum; the library divides by the root of the width
  const scores = mul(g, reduceMean(g, products, [3]), g.scalar(Math.sqrt(width)));
  const voices = Number(said.shape[2]);
  const weights = softmax(g, reshape(g, scores, [rows, slots, 1, voices]));
  return reshape(g, matmul(g, weights, said), [rows, slots, width]);
}

function sizeOf(x: Value): number {
  return Number(x.shape.at(-1));
}
