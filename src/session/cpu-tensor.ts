// Tensors of the wasm backend: JavaScript memory with a dtype and a shape.
import type { DType } from "../base/dtype.ts";
import { bytesPerElement } from "../base/dtype.ts";
import { fail } from "../base/errors.ts";
import { f16ToF32 } from "../base/float16.ts";
import type { MemoryAccount } from "../base/memory-meter.ts";
import type { Shape } from "../base/shape.ts";
import { elementCount } from "../base/shape.ts";
import type { Tensor, TensorData } from "./runtime.ts";

/** Numbers of one dtype, as onnxruntime takes them. */
export type CpuValues =
  | Float32Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | Uint8Array;

/** A tensor in JavaScript memory. */
export class CpuTensor implements Tensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly byteLength: number;
  /** True when it was made to be an output of a captured session. */
  readonly isStable: boolean;
  readonly #account: MemoryAccount;
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  /** @throws ModelError out-of-memory */
  constructor(dtype: DType, shape: Shape, account: MemoryAccount, isStable = false) {
    this.dtype = dtype;
    this.shape = [...shape];
    this.byteLength = elementCount(shape) * bytesPerElement(dtype);
    this.isStable = isStable;
    this.#bytes = zeroedBytes(this.byteLength, account.tensorBytes);
    this.#account = account;
    account.add(this.byteLength);
  }

  /** The memory. @throws Error after dispose */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (!this.#bytes) throw new Error("web-umm internal error: a disposed tensor was used");
    return this.#bytes;
  }

  /** The memory as numbers of its dtype; f16 as raw bits, bool as bytes. */
  get values(): CpuValues {
    return viewOf(this.dtype, this.bytes);
  }

  dispose(): void {
    if (!this.#bytes) return;
    this.#bytes = undefined;
    this.#account.add(-this.byteLength);
  }
}

/** Largest tensor: wasm has 32-bit addresses, and a tensor is copied into its heap while a graph runs. */
export const MAX_CPU_TENSOR_BYTES = 2 ** 31 - 1;

function zeroedBytes(bytes: number, heldBytes: number): Uint8Array<ArrayBuffer> {
  const advice = "Try a smaller picture or a coarser quantization.";
  if (bytes > MAX_CPU_TENSOR_BYTES) {
    const text = `A tensor of ${bytes} bytes is larger than the wasm backend allows (${MAX_CPU_TENSOR_BYTES} bytes).`;
    const numbers = { neededBytes: bytes, availableBytes: MAX_CPU_TENSOR_BYTES };
    // As on the GPU: nobody knows what the same drawing leaves behind.
    throw fail("out-of-memory", `${text} ${advice}`, {
      ...numbers,
      limit: "tensor",
      exhausted: true,
    });
  }
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    const needed = heldBytes + bytes;
    throw fail(
      "out-of-memory",
      `There is no memory left: ${needed} bytes were needed, ${heldBytes} were given. ${advice}`,
      { neededBytes: needed, availableBytes: heldBytes, exhausted: true },
      error,
    );
  }
}

const VIEWS: Readonly<
  Record<DType, new (buffer: ArrayBuffer, offset: number, count: number) => CpuValues>
> = {
  f32: Float32Array,
  f16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
  bool: Uint8Array,
};

/** `bytes` as numbers of `dtype`, without a copy. */
export function viewOf(dtype: DType, bytes: Uint8Array<ArrayBuffer>): CpuValues {
  return new VIEWS[dtype](
    bytes.buffer,
    bytes.byteOffset,
    bytes.byteLength / bytesPerElement(dtype),
  );
}

/** A copy of `values` as a caller reads them: f16 widened, i64 narrowed to its low 32 bits. */
export function readableCopy(dtype: DType, values: CpuValues): TensorData {
  if (values instanceof Uint16Array) return f16ToF32(values);
  if (values instanceof BigInt64Array) return Int32Array.from(values, Number);
  if (dtype === "bool") return Uint8Array.from(values);
  return values.slice();
}
