// Judges every buffer of a device, by whomever it is made: onnxruntime makes its buffers on the same device
// object, and what is refused there comes back without a number, or as an invalid buffer somewhere in its work.

/** A buffer that the device cannot give, and all that is known of it. */
export interface BufferRefusal {
  readonly kind: "memory" | "maxBufferSize" | "maxStorageBufferBindingSize";
  /** Bytes of the buffer or of the binding. */
  readonly bytes: number;
  /** Bytes that tensors held when it was asked for. */
  readonly heldBytes: number;
  /** Bytes that the limit allows; absent where memory is short: WebGPU tells no such number. */
  readonly allowedBytes?: number;
  /** In the words of the browser. */
  readonly text: string;
}

/** Who is told. */
export interface BufferWatcher {
  /** Bytes that tensors hold now. */
  heldBytes(): number;
  /** Told of a limit at once, and of memory when the GPU has judged. */
  onRefusal(refusal: BufferRefusal): void;
  /** Given a promise for each buffer that settles, never rejects, when the GPU has judged it. */
  onAsked(judged: Promise<void>): void;
}

/** Wraps what makes and binds buffers; wrap a device once. Changes nothing else about it. */
export function watchBuffers(device: GPUDevice, watcher: BufferWatcher): void {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const asked = { bytes: descriptor.size, heldBytes: watcher.heldBytes() };
    const refuse = (text: string): void => watcher.onRefusal({ kind: "memory", ...asked, text });
    if (asked.bytes > maxBufferSize) {
      const kind = "maxBufferSize";
      watcher.onRefusal({ kind, ...asked, allowedBytes: maxBufferSize, text: "" });
    }
    device.pushErrorScope("out-of-memory");
    try {
      return createBuffer(descriptor);
    } catch (error) {
      // A buffer that is mapped at its creation is refused at once.
      if (error instanceof RangeError) refuse(error.message);
      throw error;
    } finally {
      const scope = device.popErrorScope().then((error) => {
        if (error) refuse(error.message);
      });
      // A scope of a lost device may reject; the loss itself is reported elsewhere.
      watcher.onAsked(scope.catch(() => undefined));
    }
  };
  const createBindGroup = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    for (const { resource } of descriptor.entries) {
      const bytes = storageBytes(resource);
      if (bytes <= maxStorageBufferBindingSize) continue;
      const bound = { kind: "maxStorageBufferBindingSize", bytes, text: "" } as const;
      const heldBytes = watcher.heldBytes();
      watcher.onRefusal({ ...bound, heldBytes, allowedBytes: maxStorageBufferBindingSize });
    }
    return createBindGroup(descriptor);
  };
}

function storageBytes(resource: GPUBindingResource): number {
  if (!("buffer" in resource)) return 0;
  const { buffer, offset = 0, size = buffer.size - offset } = resource;
  return buffer.usage & GPUBufferUsage.STORAGE ? size : 0;
}
