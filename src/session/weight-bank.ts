// Stored weights on the device: reads the parts that graphs bind, widens or narrows floats to what each
// graph computes in, and uploads them one at a time. Every buffer is ours, so freeing is immediate.
import { fail } from "../base/errors.ts";
import { f16ToF32, f32ToF16 } from "../base/float16.ts";
import { bytesPerElement } from "../base/dtype.ts";
import { elementCount, sameShape } from "../base/shape.ts";
import type { StoredPart } from "../base/weight-declaration.ts";
import type { Graph } from "../graph/graph.ts";
import type { Runtime, Tensor, WeightTensors } from "./runtime.ts";

/** One stored part with its bytes, as the store gives it. */
export interface StoredTensorBytes extends StoredPart {
  readonly bytes: Uint8Array;
}

/** Reads stored parts by name, in whatever order is cheapest, each checked against its hash. */
export type ReadParts = (
  names: ReadonlySet<string>,
  signal: AbortSignal | undefined,
) => AsyncIterable<StoredTensorBytes>;

/** Weights of one model on one device. */
export class WeightBank {
  readonly #runtime: Runtime;
  readonly #read: ReadParts;
  readonly #tensors = new Map<string, Tensor>();

  constructor(runtime: Runtime, read: ReadParts) {
    this.#runtime = runtime;
    this.#read = read;
  }

  /** Every loaded part by name. */
  get tensors(): WeightTensors {
    return this.#tensors;
  }

  /**
   * Brings the parts that these graphs bind to the device, those that are there already excepted.
   *
   * @throws ModelError weights-corrupt when the store lacks a part or has it in another shape
   */
  async load(graphs: readonly Graph[], signal?: AbortSignal): Promise<void> {
    const wanted = new Map(
      graphs.flatMap(({ weightParts }) => weightParts.map((part) => [part.name, part] as const)),
    );
    for (const name of this.#tensors.keys()) wanted.delete(name);
    if (wanted.size === 0) return;
    for await (const stored of this.#read(new Set(wanted.keys()), signal)) {
      signal?.throwIfAborted();
      const part = wanted.get(stored.name);
      if (part === undefined) continue;
      this.#tensors.set(part.name, this.#upload(part, stored));
      wanted.delete(part.name);
    }
    const [missing] = wanted.keys();
    if (missing !== undefined) {
      throw fail(
        "weights-corrupt",
        `${wanted.size} stored weights are missing, first ${missing}. Delete the model from the cache and load it again.`,
        { missing },
      );
    }
  }

  /** Frees every part that none of these graphs binds. */
  keep(graphs: readonly Graph[]): void {
    const kept = new Set(graphs.flatMap(({ weightParts }) => weightParts.map(({ name }) => name)));
    for (const [name, tensor] of this.#tensors) {
      if (kept.has(name)) continue;
      tensor.dispose();
      this.#tensors.delete(name);
    }
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
  }

  #upload(part: StoredPart, stored: StoredTensorBytes): Tensor {
    if (!sameShape(part.shape, stored.shape)) {
      throw fail(
        "weights-corrupt",
        `Stored weight ${part.name} has shape [${stored.shape.join(", ")}], the graph wants [${part.shape.join(", ")}]. ` +
          "Delete the model from the cache and load it again.",
        { weight: part.name },
      );
    }
    const data = convert(stored, part.dtype);
    return this.#runtime.createTensor(part.dtype, part.shape, data);
  }
}

function convert(
  { name, dtype, shape, bytes }: StoredTensorBytes,
  to: StoredPart["dtype"],
): ArrayBufferView {
  const expected = elementCount(shape) * bytesPerElement(dtype);
  if (bytes.byteLength !== expected) {
    throw fail(
      "weights-corrupt",
      `Stored weight ${name} has ${bytes.byteLength} bytes, not ${expected}.`,
    );
  }
  if (dtype === to) return bytes;
  if (dtype === "f16" && to === "f32") return f16ToF32(asWords(bytes));
  if (dtype === "f32" && to === "f16") return f32ToF16(asFloats(bytes));
  throw fail("weights-corrupt", `Stored weight ${name} is ${dtype}, the graph wants ${to}.`);
}

// A piece of a shard may begin at any byte; typed arrays want an aligned one.
function aligned(bytes: Uint8Array, alignment: number): Uint8Array {
  return bytes.byteOffset % alignment === 0 ? bytes : bytes.slice();
}

function asWords(bytes: Uint8Array): Uint16Array {
  const from = aligned(bytes, 2);
  return new Uint16Array(from.buffer, from.byteOffset, from.byteLength / 2);
}

function asFloats(bytes: Uint8Array): Float32Array {
  const from = aligned(bytes, 4);
  return new Float32Array(from.buffer, from.byteOffset, from.byteLength / 4);
}
