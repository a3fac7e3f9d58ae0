// The ONNX bytes of one Expand node, written by hand: a model of 100 bytes needs no graph builder.
import type { DType } from "../base/dtype.ts";

/** TensorProto.DataType */
const ONNX_TYPES: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  u32: 12,
};

const IR_VERSION = 10;
const OPSET = 21;

/**
 * A model `output = Expand(seed, shape)` with seed [1] of `dtype` and shape i64 [rank].
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the field numbers
 */
export function expandModel(dtype: DType): Uint8Array {
  const node = [
    ...text(1, "seed"),
    ...text(1, "shape"),
    ...text(2, "output"),
    ...text(3, "expand"),
    ...text(4, "Expand"),
  ];
  const graph = [
    ...message(1, node),
    ...text(2, "expand"),
    ...message(11, valueInfo("seed", ONNX_TYPES[dtype], message(1, number(1, 1)))),
    ...message(11, valueInfo("shape", ONNX_TYPES.i64, message(1, text(2, "rank")))),
    ...message(12, valueInfo("output", ONNX_TYPES[dtype])),
  ];
  const opset = [...text(1, ""), ...number(2, OPSET)];
  return Uint8Array.from([...number(1, IR_VERSION), ...message(7, graph), ...message(8, opset)]);
}

function valueInfo(name: string, type: number, dimensions?: readonly number[]): number[] {
  const shape = dimensions ? message(2, dimensions) : [];
  return [...text(1, name), ...message(2, message(1, [...number(1, type), ...shape]))];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}

// Lengths here are below 2^14: one or two bytes.
function message(field: number, content: readonly number[]): number[] {
  const length =
    content.length < 128 ? [content.length] : [(content.length & 127) | 128, content.length >> 7];
  return [(field << 3) | 2, ...length, ...content];
}

function number(field: number, value: number): number[] {
  return [field << 3, value];
}
