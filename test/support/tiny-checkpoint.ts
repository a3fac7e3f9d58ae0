// Writes small checkpoints in the published layout, right or wrong, and declares weights for them.
import { f32ToBf16, f32ToF16 } from "../../src/base/float16.ts";
import type { WeightDeclaration, WeightUse } from "../../src/base/weight-declaration.ts";

/** A tensor to write. */
export interface TinyTensor {
  readonly dtype: "F32" | "F16" | "BF16" | "F64" | "I64";
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** A safetensors file. `edit` may spoil the header before it is written. */
export function safetensorsFile(
  tensors: Readonly<Record<string, TinyTensor>>,
  edit: (header: string) => string = (header) => header,
): Uint8Array<ArrayBuffer> {
  const entries: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { dtype, shape, values }] of Object.entries(tensors)) {
    const bytes = encode(dtype, values);
    entries[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  return withHeader(edit(JSON.stringify(entries)), parts);
}

/** A file of a header text and data, whatever they are. */
export function withHeader(
  header: string,
  parts: readonly Uint8Array[] = [],
  headerBytes?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  return concatenated([length, text, ...parts]);
}

/** Deterministic numbers, roughly normal, as weights are. */
export function weights(count: number, seed: number, scale = 0.05): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return Float32Array.from({ length: count }, () => (next() + next() + next()) * scale * 2);
}

/** A declaration of a whole tensor. */
export function declare(
  tensor: string,
  shape: readonly number[],
  use: WeightUse,
  more: Partial<WeightDeclaration> = {},
): WeightDeclaration {
  const whole = { key: tensor, tensor, aliases: [], companion: "", shape, sourceShape: shape, use };
  return { ...whole, ...more };
}

/** The bytes of texts and JSON. */
export function textFile(content: unknown): Uint8Array<ArrayBuffer> {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return new Uint8Array(new TextEncoder().encode(text));
}

/** Joins byte arrays. */
export function concatenated(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

function encode(dtype: TinyTensor["dtype"], values: ArrayLike<number>): Uint8Array {
  const floats = Float32Array.from(values);
  switch (dtype) {
    case "F32":
      return new Uint8Array(floats.buffer);
    case "F64":
      return new Uint8Array(Float64Array.from(values).buffer);
    case "F16":
      return new Uint8Array(f32ToF16(floats).buffer);
    case "BF16":
      return new Uint8Array(f32ToBf16(floats).buffer);
    case "I64":
      return new Uint8Array(BigInt64Array.from(Array.from(values, BigInt)).buffer);
    default:
      return dtype satisfies never;
  }
}
