// Operations that move elements without computing.
import { assert, present } from "../../base/assert.ts";
import type { DType } from "../../base/dtype.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Dimension, Value } from "../graph.ts";
import { broadcast } from "./elementwise.ts";
import { one } from "./one.ts";
import { fixed, imageSizes } from "./sizes.ts";

/** x with another shape; one size may be -1, and is then what is left over. */
export function reshape(g: GraphBuilder, x: Value, shape: readonly Dimension[]): Value {
  const known = shape.map((size, axis) => (size === -1 ? leftOver(x.shape, shape) : size) ?? axis);
  assert(sizeOf(known) === sizeOf(x.shape), `reshape [${x.shape.join()}] to [${shape.join()}]`);
  // A named dimension must be the only one that is not known when the graph is built.
  const target = known.map((size) => (typeof size === "number" ? BigInt(size) : -1n));
  const sizes = g.constant("i64", [target.length], BigInt64Array.from(target));
  return one(g.node("Reshape", [x, sizes], [{ dtype: x.dtype, shape: known }]));
}

/** x with its axes in another order. */
export function transpose(g: GraphBuilder, x: Value, order: readonly number[]): Value {
  const isOrder = order.toSorted((a, b) => a - b).every((axis, index) => axis === index);
  const text = `transpose [${x.shape.join()}] by [${order.join()}]`;
  assert(isOrder && order.length === x.shape.length, text);
  const shape = order.map((axis) => present(x.shape[axis], "axis"));
  return one(g.node("Transpose", [x], [{ dtype: x.dtype, shape }], { perm: order }));
}

/** Values one after the other along an axis. */
export function concat(g: GraphBuilder, values: readonly Value[], axis: number): Value {
  const first = present(values[0], "value to concatenate");
  const total = values.reduce((sum, { shape }) => sum + fixed(shape[axis]), 0);
  const shape = first.shape.map((size, index) => (index === axis ? total : size));
  for (const value of values) {
    const fits =
      value.shape.length === first.shape.length &&
      value.shape.every((size, index) => index === axis || size === first.shape[index]);
    assert(
      fits && value.dtype === first.dtype,
      `concat of [${value.shape.join()}] at axis ${axis}`,
    );
  }
  return one(g.node("Concat", values, [{ dtype: first.dtype, shape }], { axis }));
}

/** x cut into equal parts along an axis. */
export function split(g: GraphBuilder, x: Value, parts: number, axis: number): Value[] {
  const size = fixed(x.shape[axis]) / parts;
  assert(Number.isInteger(size), `[${x.shape.join()}] splits into ${parts} at axis ${axis}`);
  const shape = x.shape.map((whole, index) => (index === axis ? size : whole));
  const outputs = Array.from({ length: parts }, () => ({ dtype: x.dtype, shape }));
  return g.node("Split", [x], outputs, { axis, num_outputs: parts });
}

/** x cut into parts of these sizes along an axis. */
export function splitSizes(
  g: GraphBuilder,
  x: Value,
  sizes: readonly number[],
  axis: number,
): Value[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert(x.shape[axis] === total, `[${x.shape.join()}] splits into ${sizes.join()} at ${axis}`);
  const outputs = sizes.map((size) => ({
    dtype: x.dtype,
    shape: x.shape.map((whole, index) => (index === axis ? size : whole)),
  }));
  const lengths = g.constant("i64", [sizes.length], BigInt64Array.from(sizes, BigInt));
  return g.node("Split", [x, lengths], outputs, { axis });
}

/** x[start:] along an axis; a negative start counts from the end. */
export function slice(
  g: GraphBuilder,
  x: Value,
  { axis, start }: { readonly axis: number; readonly start: number },
): Value {
  // A negative start may cut a named dimension.
  const left = start < 0 ? -start : fixed(x.shape[axis]) - start;
  assert(axis < x.shape.length && left > 0, `slice of [${x.shape.join()}] from ${start}`);
  const shape = x.shape.map((whole, index) => (index === axis ? left : whole));
  const vector = (value: bigint): Value => g.constant("i64", [1], BigInt64Array.of(value));
  const end = vector(BigInt(Number.MAX_SAFE_INTEGER));
  const inputs = [x, vector(BigInt(start)), end, vector(BigInt(axis))];
  return one(g.node("Slice", inputs, [{ dtype: x.dtype, shape }]));
}

/** x repeated along its axes of size 1. */
export function expand(g: GraphBuilder, x: Value, shape: readonly number[]): Value {
  const fits = broadcast(x.shape, shape).join() === shape.join();
  assert(fits, `expand [${x.shape.join()}] to [${shape.join()}]`);
  const sizes = g.constant("i64", [shape.length], BigInt64Array.from(shape, BigInt));
  return one(g.node("Expand", [x, sizes], [{ dtype: x.dtype, shape }]));
}

/** x in another element type; x itself when it has that already. */
export function cast(g: GraphBuilder, x: Value, dtype: DType): Value {
  if (x.dtype === dtype) return x;
  const to = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f16: 10, u32: 12 }[dtype];
  return one(g.node("Cast", [x], [{ dtype, shape: x.shape }], { to }));
}

/** Rows of a table [rows, width] by index [...]: [..., width]. */
export function gatherRows(g: GraphBuilder, table: Value, indices: Value): Value {
  const shape = [...indices.shape, present(table.shape[1], "width")];
  return one(g.node("Gather", [table, indices], [{ dtype: table.dtype, shape }], { axis: 0 }));
}

/** [n, s s c, h, w] -> [n, c, s h, s w], torch's PixelShuffle: the channel is the slowest part. */
export function pixelShuffle(g: GraphBuilder, x: Value, size: number): Value {
  return depthToSpace(g, x, size, "CRD");
}

/** [n, s s c, h, w] -> [n, c, s h, s w], what undoes patches: the channel is the fastest part. */
export function unpatchify(g: GraphBuilder, x: Value, size: number): Value {
  return depthToSpace(g, x, size, "DCR");
}

function depthToSpace(g: GraphBuilder, x: Value, size: number, mode: "CRD" | "DCR"): Value {
  const [rows, channels, height, width] = imageSizes(x);
  assert(channels % size ** 2 === 0, `[${x.shape.join()}] has pixels of ${size} x ${size}`);
  const shape = [rows, channels / size ** 2, height * size, width * size];
  const attributes = { blocksize: size, mode };
  return one(g.node("DepthToSpace", [x], [{ dtype: x.dtype, shape }], attributes));
}

/** [n, c, h, w] -> [n, c, 2h, 2w] by repetition. */
export function upsampleNearest(g: GraphBuilder, x: Value): Value {
  const [rows, channels, height, width] = imageSizes(x);
  const shape = [rows, channels, height * 2, width * 2];
  const scales = g.constant("f32", [4], Float32Array.of(1, 1, 2, 2));
  const attributes = {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  };
  return one(g.node("Resize", [x, undefined, scales], [{ dtype: x.dtype, shape }], attributes));
}

/** Zeros behind the last rows and columns of [n, c, h, w]. */
export function padEnd(g: GraphBuilder, x: Value, amount: number): Value {
  const [rows, channels, height, width] = imageSizes(x);
  const shape = [rows, channels, height + amount, width + amount];
  const size = BigInt(amount);
  const pads = g.constant("i64", [8], BigInt64Array.of(0n, 0n, 0n, 0n, 0n, 0n, size, size));
  return one(g.node("Pad", [x, pads], [{ dtype: x.dtype, shape }]));
}

function leftOver(from: readonly Dimension[], to: readonly Dimension[]): Dimension {
  const given = to.filter((size) => size !== -1);
  const names = from.filter((size) => typeof size === "string" && !given.includes(size));
  if (names[0] !== undefined) return names[0];
  return numbers(from) / numbers(given);
}

function numbers(shape: readonly Dimension[]): number {
  return shape.reduce<number>(
    (product, size) => product * (typeof size === "number" ? size : 1),
    1,
  );
}

function sizeOf(shape: readonly Dimension[]): string {
  return [numbers(shape), ...shape.filter((size) => typeof size === "string")].join(" * ");
}
