// Attention of the transformer: projections, norms and rotations around what differs from use to use, which
// is where keys and values of earlier slots come from.
import { present } from "../../base/assert.ts";
import { linear } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { groupQueryAttention, rotaryEmbedding } from "../../graph/ops/attention.ts";
import { add, blame, max, mul, sigmoid, softmax, sub } from "../../graph/ops/elementwise.ts";
import { matmul } from "../../graph/ops/linear.ts";
import { cast, concat, gatherRows, reshape, split, transpose } from "../../graph/ops/movement.ts";
import { exp, log, tanh } from "../../graph/ops/transcendental.ts";
import type { TransformerConfig } from "./config.ts";
import { unitRms } from "./unit-norm.ts";

/** q, k, v [rows, slots, heads * size], not rotated -> what the heads gather, of the same shape. */
export type Attend = (layer: number, q: Value, k: Value, v: Value) => Value;

/** A sublayer's input [rows, slots, dim] -> its output, of the same shape. */
export type Project = (x: Value, name: string, layer: number) => Value;

// Exponentials of values reach e^15: this much less keeps them within f16. Their mean's logarithm gets it back.
const LASER_SHIFT = 5;

/** The attention of every layer of one run, in order. */
export function attentionProjections(
  g: GraphBuilder,
  config: TransformerConfig,
  attend: Attend,
): Project {
  const { dim, heads, headDim, qkRmsNorm, gateValues, useValueResidual, attentionLaser } = config;
  const inner = heads * headDim;
  let firstValues: Value | undefined;
  return (x, name, layer) => {
    const fused = linear(g, x, { weight: `${name}to_qk.0.weight`, out: 2 * inner });
    const [q, k] = split(g, fused, 2, 2).map((part, index) =>
      qkRmsNorm ? normHeads(g, part, config, `${name}${index === 0 ? "q" : "k"}_norm.gamma`) : part,
    );
    let v = linear(g, x, { weight: `${name}to_v.0.weight`, out: inner });
    if (firstValues === undefined) firstValues = v;
    else if (useValueResidual) v = mixValues(g, x, v, firstValues, config, name);
    if (attentionLaser) v = raise(g, v, config.laserSoftclamp);
    let out = attend(layer, present(q, "q"), present(k, "k"), v);
    if (attentionLaser) out = lower(g, out);
    if (gateValues) {
      const gates = sigmoid(g, linear(g, x, { weight: `${name}to_gates.0.weight`, out: heads }));
      out = weighHeads(g, out, gates, config);
    }
    return linear(g, out, { weight: `${name}to_out.1.weight`, out: dim });
  };
}

/** Inputs of a run over a cache that it extends in place. */
export interface CacheInputs {
  readonly capacity: number;
  readonly lastIndex: Value;
  readonly total: Value;
  readonly rope: { readonly cos: Value; readonly sin: Value };
}

/**
 * The inputs of a cache: `seqlens_k` and `total_sequence_length` i32 [1], `rope.cos|sin` [capacity, size / 2]
 * with the angles of each slot, whose position is not its number behind a picture.
 */
export function cacheInputs(
  g: GraphBuilder,
  { headDim }: TransformerConfig,
  capacity: number,
): CacheInputs {
  const shape = [capacity, headDim / 2];
  return {
    capacity,
    lastIndex: g.input("seqlens_k", "i32", [1]),
    total: g.input("total_sequence_length", "i32", [1]),
    rope: { cos: g.input("rope.cos", g.float, shape), sin: g.input("rope.sin", g.float, shape) },
  };
}

/**
 * One text slot behind the cache, which sees all that is filled. The operator that extends the cache could attend,
 * but onnxruntime-web 1.30 leaves its soft cap out on WebGPU: gathered values were up to 25 % off.
 */
export function attendCausal(
  g: GraphBuilder,
  config: TransformerConfig,
  cache: CacheInputs,
): Attend {
  const bias = hideUnfilled(g, cache);
  return (layer, q, k, v) => {
    const { key, value } = extendCache(g, config, cache, layer, { q, k, v });
    const queries = rotateLast(g, q, config, cache);
    return gather(g, config, { queries, keys: key, values: value, bias });
  };
}

/**
 * Slots that may be pictures' behind the cache: everybody sees what `bias` [1, 1, slots, capacity] leaves,
 * itself included. `positions` i64 [1, slots]: numbers of the slots.
 */
export function attendMixed(
  g: GraphBuilder,
  config: TransformerConfig,
  cache: CacheInputs,
  { positions, bias }: { readonly positions: Value; readonly bias: Value },
): Attend {
  const visible = cast(g, bias, g.float);
  return (layer, q, k, v) => {
    // The operator's own attention is causal, without a soft cap, and goes unused: what it writes is wanted.
    const { key, value } = extendCache(g, config, cache, layer, { q, k, v });
    const rotated = rotaryEmbedding(g, q, positions, cache.rope, config.heads, true);
    const queries = toHeads(g, rotated, config);
    return gather(g, config, { queries, keys: key, values: value, bias: visible });
  };
}

/**
 * A picture behind the caches `past.{layer}.key|value.{row}` [1, heads, capacity, size]: all of it sees all of
 * it, and of the cache what `bias` f32 [rows, 1, 1, capacity + slots] leaves. The first rows of `rope.cos|sin`
 * [{@link placeRows}, size / 2] are the angles of each row's one position, `positions` i64 [rows, slots] the
 * row's number.
 */
export function attendPicture(
  g: GraphBuilder,
  config: TransformerConfig,
  { rows, capacity, slots }: { rows: number; capacity: number; slots: number },
): Attend {
  const { heads, headDim } = config;
  const bias = cast(g, g.input("bias", "f32", [rows, 1, 1, capacity + slots]), g.float);
  const positions = g.input("positions", "i64", [rows, slots]);
  const shape = [placeRows(rows, slots), headDim / 2];
  const rope = {
    cos: g.input("rope.cos", g.float, shape),
    sin: g.input("rope.sin", g.float, shape),
  };
  const past = (layer: number, part: string): Value => {
    const each = Array.from({ length: rows }, (_, row) =>
      g.input(`past.${layer}.${part}.${row}`, g.float, [1, heads, capacity, headDim]),
    );
    return rows === 1 ? present(each[0], "row") : concat(g, each, 0);
  };
  return (layer, q, k, v) => {
    const rotate = (x: Value): Value =>
      toHeads(g, rotaryEmbedding(g, x, positions, rope, heads, true), config);
    const keys = concat(g, [past(layer, "key"), rotate(k)], 2);
    const values = concat(g, [past(layer, "value"), toHeads(g, v, config)], 2);
    return gather(g, config, { queries: rotate(q), keys, values, bias });
  };
}

/** Rows of a picture's table of angles: onnxruntime's CPU kernel wants one for each slot, used or not. */
export function placeRows(rows: number, slots: number): number {
  return Math.max(rows, slots);
}

/** [1, 1, 1, capacity]: nothing for slots up to the last one, so much less for those behind it that no score counts. */
function hideUnfilled(g: GraphBuilder, { capacity, lastIndex }: CacheInputs): Value {
  const slots = g.constant("f32", [1, 1, 1, capacity], Float32Array.from(Array(capacity).keys()));
  const behind = max(g, sub(g, slots, cast(g, lastIndex, "f32")), g.scalar(0, "f32"));
  const hidden = max(g, mul(g, behind, g.scalar(-1000, "f32")), g.scalar(-30_000, "f32"));
  return cast(g, hidden, g.float);
}

/** q [1, 1, heads * size] of the last slot, rotated: [1, heads, 1, size]. */
function rotateLast(
  g: GraphBuilder,
  q: Value,
  { heads, headDim }: TransformerConfig,
  { lastIndex, rope }: CacheInputs,
): Value {
  const half = headDim / 2;
  const [even, odd] = split(g, reshape(g, q, [heads, half, 2]), 2, 2);
  const [cos, sin] = [rope.cos, rope.sin].map((table) =>
    reshape(g, gatherRows(g, table, lastIndex), [1, half, 1]),
  );
  const of = (a: Value | undefined, b: Value | undefined): Value =>
    mul(g, present(a, "pair"), present(b, "angle"));
  const rotated = [sub(g, of(even, cos), of(odd, sin)), add(g, of(odd, cos), of(even, sin))];
  return reshape(g, concat(g, rotated, 2), [1, heads, 1, headDim]);
}

function extendCache(
  g: GraphBuilder,
  { heads, headDim }: TransformerConfig,
  { capacity, lastIndex, total, rope }: CacheInputs,
  layer: number,
  slots: { readonly q: Value; readonly k: Value; readonly v: Value },
): ReturnType<typeof groupQueryAttention> {
  const shape = [1, heads, capacity, headDim];
  const pastKey = g.input(`past.${layer}.key`, g.float, shape);
  const pastValue = g.input(`past.${layer}.value`, g.float, shape);
  const inputs = { ...slots, pastKey, pastValue, lastIndex, total, ...rope };
  const options = { heads, kvHeads: heads, interleaved: true };
  const extended = groupQueryAttention(g, inputs, options);
  g.output(`present.${layer}.key`, extended.key);
  g.output(`present.${layer}.value`, extended.value);
  return extended;
}

/** softmax(cap tanh(q k' / (sqrt(size) cap)) + bias) v, heads joined: [rows, slots, heads * size]. */
function gather(
  g: GraphBuilder,
  { heads, headDim, softcap }: TransformerConfig,
  inputs: { queries: Value; keys: Value; values: Value; bias: Value },
): Value {
  const { queries, keys, values, bias } = inputs;
  const scaled = mul(g, queries, g.scalar(headDim ** -0.5 / softcap));
  const products = matmul(g, scaled, transpose(g, keys, [0, 1, 3, 2]));
  const scores = add(g, mul(g, tanh(g, products), g.scalar(softcap)), bias);
  const gathered = matmul(g, softmax(g, scores), values); // [rows, heads, slots, size]
  const [rows = 1, , slots = 1] = gathered.shape;
  return reshape(g, transpose(g, gathered, [0, 2, 1, 3]), [rows, slots, heads * headDim]);
}

/** [rows, slots, heads * size] -> [rows, heads, slots, size]. */
function toHeads(g: GraphBuilder, x: Value, config: TransformerConfig): Value {
  return transpose(g, apart(g, x, config), [0, 2, 1, 3]);
}

/** [rows, slots, heads * size] -> [rows, slots, heads, size]. */
function apart(g: GraphBuilder, x: Value, { heads, headDim }: TransformerConfig): Value {
  const [rows = 1, slots = 1] = x.shape;
  return reshape(g, x, [rows, slots, heads, headDim]);
}

function normHeads(g: GraphBuilder, x: Value, config: TransformerConfig, name: string): Value {
  return reshape(g, unitRms(g, apart(g, x, config), name), x.shape);
}

/** Each head's part of x times its weight [rows, slots, heads]. */
function weighHeads(g: GraphBuilder, x: Value, weights: Value, config: TransformerConfig): Value {
  const [rows = 1, slots = 1] = x.shape;
  const perHead = reshape(g, weights, [rows, slots, config.heads, 1]);
  return reshape(g, mul(g, apart(g, x, config), perHead), x.shape);
}

function mixValues(
  g: GraphBuilder,
  x: Value,
  own: Value,
  first: Value,
  config: TransformerConfig,
  name: string,
): Value {
  const layer = `${name}to_learned_value_residual.0.`;
  const weights = { weight: `${layer}weight`, bias: `${layer}bias`, out: config.heads };
  const mix = sigmoid(g, linear(g, x, weights));
  return add(g, first, weighHeads(g, sub(g, own, first), mix, config));
}

function raise(g: GraphBuilder, v: Value, clamp: number): Value {
  const clamped = mul(g, tanh(g, mul(g, v, g.scalar(1 / clamp))), g.scalar(clamp));
  return exp(g, sub(g, clamped, g.scalar(LASER_SHIFT)));
}

function lower(g: GraphBuilder, x: Value): Value {
  const least = g.float === "f16" ? 6e-8 : 1e-20;
  const positive = add(g, max(g, x, g.scalar(least)), blame(g, x));
  return add(g, log(g, positive), g.scalar(LASER_SHIFT));
}
