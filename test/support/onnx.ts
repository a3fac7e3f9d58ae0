// A tiny ONNX writer for tests of the session layer, independent of src/graph on purpose: a fault of the
// graph builder must not hide a fault of the runtime, or the other way round.
import type { DType } from "../../src/base/dtype.ts";
import type { Graph, Value } from "../../src/graph/graph.ts";
import type { StoredPart } from "../../src/base/weight-declaration.ts";

const ONNX_TYPE: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  u32: 12,
};

type Attributes = Readonly<Record<string, number | readonly number[]>>;

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Attributes;
  readonly domain?: string;
}

export interface OnnxConstant {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** A graph from plain nodes; weights are graph inputs, as everywhere in the library. */
export function onnxGraph(parts: {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly OnnxNode[];
  readonly weightParts?: readonly StoredPart[];
  readonly constants?: readonly OnnxConstant[];
}): Graph {
  const { name, inputs, outputs, nodes, weightParts = [], constants = [] } = parts;
  const graph = [
    ...nodes.map((node) => message(1, nodeProto(node))),
    text(2, name),
    ...constants.map((constant) => message(5, tensorProto(constant))),
    ...[...inputs, ...weightParts].map((value) => message(11, valueInfo(value))),
    ...outputs.map((value) => message(12, valueInfo(value))),
  ];
  const model = [
    integer(1, 10),
    message(7, graph),
    message(8, [text(1, ""), integer(2, 21)]),
    message(8, [text(1, "com.microsoft"), integer(2, 1)]),
  ];
  return { name, bytes: Uint8Array.from(model.flat()), inputs, outputs, weights: [], weightParts };
}

type Field = readonly number[];

function nodeProto({ op, inputs, outputs, attributes = {}, domain = "" }: OnnxNode): Field[] {
  return [
    ...inputs.map((input) => text(1, input)),
    ...outputs.map((output) => text(2, output)),
    text(3, `${op}-${outputs.join("-")}`),
    text(4, op),
    ...Object.entries(attributes).map(([key, value]) => message(5, attribute(key, value))),
    text(7, domain),
  ];
}

function attribute(key: string, value: number | readonly number[]): Field[] {
  if (typeof value !== "number") {
    return [text(1, key), ...value.map((item) => integer(8, item)), integer(20, 7)];
  }
  if (Number.isInteger(value)) return [text(1, key), integer(3, value), integer(20, 2)];
  const bits = new Uint8Array(Float32Array.of(value).buffer);
  return [text(1, key), [...varint((2 << 3) | 5), ...bits], integer(20, 1)];
}

function tensorProto({ name, dtype, shape, data }: OnnxConstant): Field[] {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [
    ...shape.map((size) => integer(1, size)),
    integer(2, ONNX_TYPE[dtype]),
    text(8, name),
    bytes(9, [...raw]),
  ];
}

function valueInfo({ name, dtype, shape }: Value | StoredPart): Field[] {
  const dimensions = shape.map((size) =>
    message(1, [typeof size === "string" ? text(2, size) : integer(1, size)]),
  );
  const tensorType = [integer(1, ONNX_TYPE[dtype]), message(2, dimensions)];
  return [text(1, name), message(2, [message(1, tensorType)])];
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return [...out, Number(rest)];
}

function integer(field: number, value: number): Field {
  return [...varint(field << 3), ...varint(value)];
}

function bytes(field: number, content: readonly number[]): Field {
  return [...varint((field << 3) | 2), ...varint(content.length), ...content];
}

function text(field: number, value: string): Field {
  return bytes(field, [...new TextEncoder().encode(value)]);
}

function message(field: number, content: readonly Field[]): Field {
  return bytes(field, content.flat());
}
