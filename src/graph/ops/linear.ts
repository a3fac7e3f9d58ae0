// Matrix products, and lookups in tables, over weights in floats or in quantized blocks.
import { assert, present } from "../../base/assert.ts";
import { QUANTIZATION_BLOCK } from "../../base/dtype.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";

const MICROSOFT = "com.microsoft";

/** x [..., in] times weight [in, out]. */
export function matmul(g: GraphBuilder, x: Value, weight: Value): Value {
  const [inner, out] = weight.shape;
  assert(x.shape.at(-1) === inner, `[${x.shape.join()}] times [${weight.shape.join()}]`);
  const shape = [...x.shape.slice(0, -1), present(out, "columns")];
  return one(g.node("MatMul", [x, weight], [{ dtype: x.dtype, shape }]));
}

/** x [..., in] times a weight in blocks of 32: values [out, blocks, bytes], scales [out * blocks]. */
export function matMulNBits(g: GraphBuilder, x: Value, values: Value, scales: Value): Value {
  const [out = 1, blocks = 1, bytes = 1] = values.shape;
  const inner = present(x.shape.at(-1), "inner size");
  assert(Math.ceil(Number(inner) / QUANTIZATION_BLOCK) === blocks, `${inner} in ${blocks} blocks`);
  const bits = Number(bytes) === QUANTIZATION_BLOCK ? 8 : 4;
  const attributes = {
    ...{ K: Number(inner), N: Number(out), bits, block_size: QUANTIZATION_BLOCK },
    // 0: activations stay floats. 4 would quantize them to int8 (0.5 % error, slower on some adapters).
    accuracy_level: 0,
  };
  const shape = [...x.shape.slice(0, -1), out];
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
  const bits = (Number(values.shape[1]) * 8) / width;
  const attributes = {
    ...{ bits, block_size: QUANTIZATION_BLOCK },
    ...{ gather_axis: 0, quantize_axis: 1 },
  };
  const type = { dtype: scales.dtype, shape: [...indices.shape, width] };
  const inputs = [values, indices, scales];
  return one(g.node("GatherBlockQuantized", inputs, [type], attributes, MICROSOFT));
}
