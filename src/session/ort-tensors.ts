// onnxruntime's view of GPU tensors: one wrapper for each tensor, and tensors around what it allocated.
import type { Tensor as OrtTensor } from "onnxruntime-web";
import { assert } from "../base/assert.ts";
import type { MemoryAccount } from "../base/memory-meter.ts";
import type { LossGuard } from "../gpu/loss-guard.ts";
import { GpuTensor } from "../gpu/tensor.ts";
import { exclusive } from "./ort.ts";
import type { Ort } from "./ort.ts";
import { dtypeOf, ortTypeOf } from "./ort-types.ts";
import type { Tensor } from "./runtime.ts";

/** The wrappers of one runtime. */
export class OrtTensors {
  readonly #ort: Ort;
  readonly #account: MemoryAccount;
  readonly #guard: LossGuard;
  readonly #wrappers = new WeakMap<GpuTensor, OrtTensor>();
  readonly #owned = new WeakSet<GpuTensor>();

  constructor(ort: Ort, account: MemoryAccount, guard: LossGuard) {
    this.#ort = ort;
    this.#account = account;
    this.#guard = guard;
  }

  /** onnxruntime's tensor over the same memory. */
  wrap(tensor: Tensor): OrtTensor {
    const gpuTensor = onGpu(tensor);
    const known = this.#wrappers.get(gpuTensor);
    // Asks for the buffer in any case: a disposed tensor must not reach onnxruntime.
    const { buffer } = gpuTensor;
    if (known) return known;
    const options = { dataType: ortTypeOf(tensor.dtype), dims: [...tensor.shape] } as const;
    const wrapper = this.#ort.Tensor.fromGpuBuffer(buffer, options);
    this.#wrappers.set(gpuTensor, wrapper);
    return wrapper;
  }

  /** A tensor over an output that onnxruntime allocated; disposing it gives the memory back to its pool. */
  adopt(output: OrtTensor): GpuTensor {
    assert(output.location === "gpu-buffer", "outputs stay on the GPU");
    const { gpuBuffer } = output;
    // onnxruntime rounds its buffers up to powers of two and such.
    const { size } = gpuBuffer;
    const tensor = new GpuTensor(dtypeOf(output.type), output.dims, gpuBuffer, () => {
      this.#account.add(-size);
      void this.#release(output);
    });
    this.#account.add(size);
    this.#wrappers.set(tensor, output);
    this.#owned.add(tensor);
    return tensor;
  }

  /** True when onnxruntime owns the buffer's handle, so that a captured session may write to it. */
  isOwnedByOrt(tensor: Tensor): boolean {
    return this.#owned.has(onGpu(tensor));
  }

  async #release(output: OrtTensor): Promise<void> {
    await exclusive(async () => {
      // After a loss onnxruntime must not be called, not even to free.
      if (!this.#guard.isLost()) output.dispose();
    });
  }
}

/** The tensor as one of a WebGPU runtime. @throws TypeError */
export function onGpu(tensor: Tensor): GpuTensor {
  if (tensor instanceof GpuTensor) return tensor;
  throw new TypeError("This tensor belongs to another runtime.");
}
