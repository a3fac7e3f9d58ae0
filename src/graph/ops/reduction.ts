// Sums and norms over axes, and the normalizations that onnxruntime has as one kernel.
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";

/** Mean over axes, which stay with size 1. */
export function reduceMean(g: GraphBuilder, x: Value, axes: readonly number[]): Value {
  return reduce(g, "ReduceMean", x, axes);
}

/** Sum over axes, which stay with size 1. */
export function reduceSum(g: GraphBuilder, x: Value, axes: readonly number[]): Value {
  return reduce(g, "ReduceSum", x, axes);
}

/** Euclidean norm over axes, which stay with size 1. */
export function reduceL2(g: GraphBuilder, x: Value, axes: readonly number[]): Value {
  return reduce(g, "ReduceL2", x, axes);
}

/** Index i64 of the largest value along the last axis, which is gone; of equal values the first. */
export function argMax(g: GraphBuilder, x: Value): Value {
  const type = { dtype: "i64", shape: x.shape.slice(0, -1) } as const;
  return one(g.node("ArgMax", [x], [type], { axis: -1, keepdims: 0 }));
}

/** x / rms(x) * weight over the last axis, statistics in f32. */
export function simplifiedLayerNorm(g: GraphBuilder, x: Value, weight: Value, eps: number): Value {
  const attributes = { axis: -1, epsilon: { float: eps }, stash_type: 1 };
  return one(g.node("SimplifiedLayerNormalization", [x, weight], [x], attributes));
}

/** (x - mean) / std * weight + bias over the last axis, statistics in f32. */
export function layerNormalization(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  bias: Value | undefined,
  eps: number,
): Value {
  const attributes = { axis: -1, epsilon: { float: eps }, stash_type: 1 };
  const inputs = bias === undefined ? [x, weight] : [x, weight, bias];
  return one(g.node("LayerNormalization", inputs, [x], attributes));
}

/** (x - mean) / std over everything behind axis 1, for each [n, c]. */
export function instanceNormalization(
  g: GraphBuilder,
  x: Value,
  scale: Value,
  bias: Value,
  eps: number,
): Value {
  return one(g.node("InstanceNormalization", [x, scale, bias], [x], { epsilon: { float: eps } }));
}

function reduce(g: GraphBuilder, type: string, x: Value, axes: readonly number[]): Value {
  const shape = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const list = g.constant("i64", [axes.length], BigInt64Array.from(axes, BigInt));
  return one(g.node(type, [x, list], [{ dtype: x.dtype, shape }], { keepdims: 1 }));
}
