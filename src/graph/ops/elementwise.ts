// Operations on each element, with numpy's broadcasting.
import { assert } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Dimension, Value } from "../graph.ts";
import { one } from "./one.ts";

/** a + b */
export function add(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, "Add", a, b);
}

/** a - b */
export function sub(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, "Sub", a, b);
}

/** a * b */
export function mul(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, "Mul", a, b);
}

/** a / b */
export function div(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, "Div", a, b);
}

/** The larger of a and b. */
export function max(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, "Max", a, b);
}

/** 1 / (1 + e^-x), and NaN where x is infinite or none: onnxruntime's on WebGPU gives numbers for NaN. */
export function sigmoid(g: GraphBuilder, x: Value): Value {
  return add(g, unary(g, "Sigmoid", x), blame(g, x));
}

/** x * sigmoid(x) */
export function silu(g: GraphBuilder, x: Value): Value {
  return mul(g, x, unary(g, "Sigmoid", x));
}

/** GELU with the exact error function. */
export function gelu(g: GraphBuilder, x: Value): Value {
  return unary(g, "Gelu", x);
}

/** GELU by its tanh approximation. */
export function geluTanh(g: GraphBuilder, x: Value): Value {
  return one(g.node("Gelu", [x], [x], { approximate: "tanh" }));
}

/** The larger of x and 0, and NaN where x is infinite or none: onnxruntime's Relu may make 0 of NaN. */
export function relu(g: GraphBuilder, x: Value): Value {
  return add(g, unary(g, "Relu", x), blame(g, x));
}

/**
 * 0 where x is a number, NaN where it is infinite or none: added to what was made of x by an operator that may
 * hide it. WGSL leaves max, min and comparisons of NaN open; arithmetic keeps it. test/contract/broken-operators.ts
 * asks every operator on both backends.
 */
export function blame(g: GraphBuilder, x: Value): Value {
  assert(x.dtype === "f32" || x.dtype === "f16", `floats may be no numbers, not ${x.dtype}`);
  return mul(g, x, g.scalar(0, x.dtype));
}

/** The largest integer that is not above x. */
export function floor(g: GraphBuilder, x: Value): Value {
  return unary(g, "Floor", x);
}

/**
 * Softmax over the last axis, and NaN where x is infinite or none: onnxruntime's on WebGPU gives numbers for NaN.
 * What is to be hidden has a score far below the others, never -Infinity.
 */
export function softmax(g: GraphBuilder, x: Value): Value {
  return add(g, bareSoftmax(g, x), blame(g, x));
}

/**
 * Softmax over the last axis that may give numbers for NaN: for scores so many that {@link softmax} would need their
 * memory twice more. Whoever takes it blames what the scores were made of.
 */
export function bareSoftmax(g: GraphBuilder, x: Value): Value {
  return one(g.node("Softmax", [x], [x], { axis: -1 }));
}

function unary(g: GraphBuilder, type: string, x: Value): Value {
  return one(g.node(type, [x], [x]));
}

function binary(g: GraphBuilder, type: string, a: Value, b: Value): Value {
  assert(a.dtype === b.dtype, `${type} of ${a.dtype} and ${b.dtype}`);
  return one(g.node(type, [a, b], [{ dtype: a.dtype, shape: broadcast(a.shape, b.shape) }]));
}

/** The shape of an elementwise result. */
export function broadcast(a: readonly Dimension[], b: readonly Dimension[]): Dimension[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    assert(
      left === right || left === 1 || right === 1,
      `[${a.join()}] and [${b.join()}] broadcast`,
    );
    return left === 1 ? right : left;
  });
}
