// Matrix products, and lookups in tables, over weights in floats or in quantized blocks.
import { assert } from "../../base/assert.ts";
import { QUANTIZATION_BLOCK } from "../../base/dtype.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";
import { fixed } from "./sizes.ts";

const MICROSOFT = "com.microsoft";

/** a [..., rows, inner] times b [inner, columns], or times one b [..., inner, columns] for each a. */
export function matmul(g: GraphBuilder, a: Value, b: Value): Value {
  const [inner, columns] = [fixed(b.shape.at(-2)), fixed(b.shape.at(-1))];
  const batches = b.shape.slice(0, -2);
  const fits = batches.length === 0 || batches.join() === a.shape.slice(0, -2).join();
  const text = `${a.dtype} [${a.shape.join()}] times ${b.dtype} [${b.shape.join()}]`;
  assert(fits && a.shape.at(-1) === inner && a.dtype === b.dtype, text);
  const shape = [...a.shape.slice(0, -1), columns];
  return one(g.node("MatMul", [a, b], [{ dtype: a.dtype, shape }]));
}

/** x [..., in] times a weight in blocks of 32: values [out, blocks, bytes], scales [out * blocks]. */
export function matMulNBits(g: GraphBuilder, x: Value, values: Value, scales: Value): Value {
  const [out, blocks, bytes] = values.shape.map(fixed);
  const inner = fixed(x.shape.at(-1));
  assert(Math.ceil(inner / QUANTIZATION_BLOCK) === blocks, `${inner} in ${blocks} blocks`);
  const attributes = {
    K: inner,
    N: fixed(out),
    bits: (fixed(bytes) * 8) / QUANTIZATION_BLOCK,
    block_size: QUANTIZATION_BLOCK,
    // 0: activations stay floats. 4 would quantize them to int8 (0.5 % error, slower on some adapters).
    accuracy_level: 0,
  };
  const shape = [...x.shape.slice(0, -1), fixed(out)];
  const type = { dtype: x.dtype, shape };
  return one(g.node("MatMulNBits", [x, values, scales], [type], attributes, MICROSOFT));
}

/** Rows of a table in blocks of 32: values [rows, bytes], scales [rows, blocks]; indices [...]. */
export function gatherBlockQuantized(
  g: GraphBuilder,
  {
    values,
    scales,
    indices,
  }: { readonly values: Value; readonly scales: Value; readonly indices: Value },
  width: number,
): Value {
  const attributes = {
    bits: (fixed(values.shape[1]) * 8) / width,
    block_size: QUANTIZATION_BLOCK,
    gather_axis: 0,
    quantize_axis: 1,
  };
  const type = { dtype: scales.dtype, shape: [...indices.shape, width] };
  const inputs = [values, indices, scales];
  return one(g.node("GatherBlockQuantized", inputs, [type], attributes, MICROSOFT));
}
