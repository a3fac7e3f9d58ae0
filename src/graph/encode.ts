// A built graph -> ONNX protobuf bytes. Write only, just the fields that we use.
// https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto
import type { DType } from "../base/dtype.ts";
import type { Value } from "./graph.ts";

/** A constant inside the graph file. */
export interface Initializer {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** An attribute of a node: integers, floats (wrapped), strings and lists of integers. */
export type Attribute = number | string | readonly number[] | { readonly float: number };

/** One operation. */
export interface Node {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** Everything that goes into the file. */
export interface Model {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

const ELEMENT_TYPE: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  u32: 12,
};

// IR 10 and opset 21 are what onnxruntime-web 1.30 reads without warnings.
const IR_VERSION = 10;
const OPSET = 21;

/** The model as ONNX bytes. */
export function encodeModel(model: Model): Uint8Array {
  const graph = new Message();
  for (const node of model.nodes) graph.message(1, encodeNode(node));
  graph.text(2, model.name);
  for (const initializer of model.initializers) graph.message(5, encodeTensor(initializer));
  for (const input of model.inputs) graph.message(11, encodeValue(input));
  for (const output of model.outputs) graph.message(12, encodeValue(output));
  return new Message()
    .integer(1, IR_VERSION)
    .text(2, "web-umm")
    .message(7, graph)
    .message(8, new Message().text(1, "").integer(2, OPSET))
    .message(8, new Message().text(1, "com.microsoft").integer(2, 1))
    .finish();
}

function encodeNode(node: Node): Message {
  const message = new Message();
  for (const input of node.inputs) message.text(1, input);
  for (const output of node.outputs) message.text(2, output);
  message.text(3, node.outputs[0] ?? node.type).text(4, node.type);
  for (const [name, value] of Object.entries(node.attributes)) {
    message.message(5, encodeAttribute(name, value));
  }
  return message.text(7, node.domain);
}

function encodeAttribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === "string") return message.text(4, value).integer(20, 3);
  if (typeof value === "number") return message.integer(3, value).integer(20, 2);
  if ("float" in value) return message.float(2, value.float).integer(20, 1);
  for (const item of value) message.integer(8, item);
  return message.integer(20, 7);
}

function encodeTensor({ name, dtype, shape, data }: Initializer): Message {
  const message = new Message();
  for (const size of shape) message.integer(1, size);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message.integer(2, ELEMENT_TYPE[dtype]).text(8, name).bytes(9, bytes);
}

function encodeValue({ name, dtype, shape }: Value): Message {
  const dimensions = new Message();
  for (const size of shape) {
    const dimension = new Message();
    if (typeof size === "string") dimension.text(2, size);
    else dimension.integer(1, size);
    dimensions.message(1, dimension);
  }
  const tensor = new Message().integer(1, ELEMENT_TYPE[dtype]).message(2, dimensions);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

const TEXT = new TextEncoder();

/** Protobuf wire format: tag, then varint (0), length-delimited (2) or 32 bits (5). */
class Message {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  integer(field: number, value: number): this {
    return this.#varint(field << 3).#varint(value);
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#varint((field << 3) | 5).#push(bytes);
  }

  text(field: number, value: string): this {
    return this.bytes(field, TEXT.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#varint((field << 3) | 2)
      .#varint(value.length)
      .#push(value);
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.finish());
  }

  finish(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      all.set(part, offset);
      offset += part.length;
    }
    return all;
  }

  // Negative integers are ten bytes of two's complement; BigInt gets both right.
  #varint(value: number): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    do {
      const low = Number(rest & 127n);
      rest >>= 7n;
      bytes.push(rest > 0n ? low | 128 : low);
    } while (rest > 0n);
    return this.#push(Uint8Array.from(bytes));
  }

  #push(part: Uint8Array): this {
    this.#parts.push(part);
    this.#length += part.length;
    return this;
  }
}
