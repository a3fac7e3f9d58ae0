// GPU memory with a dtype and a shape, and the one place that allocates it. An allocation that the GPU
// refuses is reported later by the GPU, so failures are collected here and thrown at the next chance.
import type { DType } from "../base/dtype.ts";
import { bytesPerElement } from "../base/dtype.ts";
import { fail, ModelError } from "../base/errors.ts";
import type { MemoryAccount } from "../base/memory-meter.ts";
import type { Shape } from "../base/shape.ts";
import { elementCount } from "../base/shape.ts";
import { watchBuffers } from "./buffer-watch.ts";
import type { BufferRefusal } from "./buffer-watch.ts";
import type { Gpu } from "./device.ts";

/** Buffers end on 16 bytes: kernels read four words at once and copies are in words. */
const ALIGNMENT = 16;

/** A buffer with a meaning. */
export class GpuTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Bytes of the elements; the buffer may be longer. */
  readonly byteLength: number;
  readonly #free: () => void;
  #buffer: GPUBuffer | undefined;

  /** @param free - called once, at the first dispose */
  constructor(dtype: DType, shape: Shape, buffer: GPUBuffer, free: () => void) {
    this.dtype = dtype;
    this.shape = [...shape];
    this.byteLength = tensorBytes(dtype, shape);
    this.#buffer = buffer;
    this.#free = free;
  }

  /** The memory. @throws Error after dispose */
  get buffer(): GPUBuffer {
    if (!this.#buffer) throw new Error("web-umm internal error: a disposed tensor was used");
    return this.#buffer;
  }

  dispose(): void {
    if (!this.#buffer) return;
    this.#buffer = undefined;
    this.#free();
  }
}

/** Bytes of the elements of a tensor. */
export function tensorBytes(dtype: DType, shape: Shape): number {
  return elementCount(shape) * bytesPerElement(dtype);
}

/** `bytes` rounded up to whole 32-bit words. */
export function wholeWords(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/** Allocates tensors on one device and keeps what the GPU complained about. */
export class GpuMemory {
  readonly #gpu: Gpu;
  readonly #account: MemoryAccount;
  readonly #pending = new Set<Promise<void>>();
  #failure: Error | undefined;

  constructor(gpu: Gpu, account: MemoryAccount) {
    this.#gpu = gpu;
    this.#account = account;
    watchBuffers(gpu.device, {
      heldBytes: () => account.tensorBytes,
      onRefusal: (refusal) => this.#noteFull(refusedError(refusal)),
      onAsked: (judged) => {
        this.#pending.add(judged);
        void judged.then(() => this.#pending.delete(judged));
      },
    });
    gpu.device.addEventListener("uncapturederror", ({ error }) => this.#remember(error));
  }

  /**
   * A zeroed tensor. Memory that the GPU cannot give is reported by the next `throwFailure` or `settle`.
   *
   * @throws ModelError out-of-memory when the tensor is larger than the device allows
   */
  allocate(dtype: DType, shape: Shape): GpuTensor {
    this.checkLimit(dtype, shape);
    const bytes = tensorBytes(dtype, shape);
    const { device } = this.#gpu;
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const buffer = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
    this.#account.add(bytes);
    return new GpuTensor(dtype, shape, buffer, () => {
      this.#account.add(-bytes);
      buffer.destroy();
    });
  }

  /** @throws ModelError out-of-memory when a tensor is larger than the device allows */
  checkLimit(dtype: DType, shape: Shape): void {
    const bytes = tensorBytes(dtype, shape);
    const { maxTensorBytes, description } = this.#gpu.facts;
    if (bytes <= maxTensorBytes) return;
    throw fail(
      "out-of-memory",
      `A tensor of ${bytes} bytes is larger than ${description} allows (${maxTensorBytes} bytes). Try a smaller picture or a coarser quantization.`,
      // What the same drawing made before it is left behind: nobody knows which tensors those are.
      { neededBytes: bytes, availableBytes: maxTensorBytes, limit: "tensor", exhausted: true },
    );
  }

  /** Throws what the GPU has complained about, once; costs nothing. @throws ModelError out-of-memory; Error */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
  }

  /** Waits until the GPU has judged every allocation so far, then throws like {@link throwFailure}. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
    this.throwFailure();
  }

  #remember(error: GPUError): void {
    if (error instanceof GPUOutOfMemoryError) {
      this.#noteFull(outOfMemory(error.message, { availableBytes: this.#account.tensorBytes }));
      return;
    }
    this.#failure ??= new Error(`web-umm internal error: WebGPU refused work: ${error.message}`);
  }

  // The first refusal tells what there was; whatever else fails does so because of it.
  #noteFull(failure: Error): void {
    if (!ModelError.isModelError(this.#failure)) this.#failure = failure;
  }
}

function refusedError({ kind, bytes, heldBytes, allowedBytes, text }: BufferRefusal): Error {
  return allowedBytes === undefined
    ? outOfMemory(text, { neededBytes: heldBytes + bytes, availableBytes: heldBytes })
    : beyondLimit(kind, bytes, allowedBytes);
}

interface Shortage {
  /** What tensors hold and what was asked for on top; absent where nobody saw what was asked for. */
  readonly neededBytes?: number;
  /** What tensors hold: all that is known of the memory there is, for WebGPU tells no number. */
  readonly availableBytes: number;
}

function outOfMemory(message: string, shortage: Shortage): Error {
  const { neededBytes, availableBytes } = shortage;
  const needed = neededBytes === undefined ? "more" : `${neededBytes} bytes`;
  return fail(
    "out-of-memory",
    `The GPU has no memory left: ${needed} were needed, ${availableBytes} bytes were given. ${message} ` +
      "Try a smaller picture, a coarser quantization, a memoryBudgetBytes, or close other tabs.",
    { ...shortage, exhausted: true },
  );
}

// onnxruntime keeps the buffer for later runs, and it is none: such a worker is of no more use than an exhausted one.
function beyondLimit(limit: string, neededBytes: number, availableBytes: number): Error {
  return fail(
    "out-of-memory",
    `An intermediate result of ${neededBytes} bytes is larger than this device allows (${limit}: ${availableBytes}). ` +
      "Try a smaller picture, a shorter prompt, or another device.",
    { limit, neededBytes, availableBytes, exhausted: true },
  );
}
