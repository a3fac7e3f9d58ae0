// Copies a tensor's bytes to JavaScript.
import { deviceLost } from "./device.ts";
import type { LossGuard } from "./loss-guard.ts";
import type { GpuMemory, GpuTensor } from "./tensor.ts";
import { wholeWords } from "./tensor.ts";

/**
 * The bytes of `tensor` after everything submitted so far.
 *
 * @throws ModelError device-lost, or out-of-memory when an earlier allocation had failed
 */
export async function readBack(
  device: GPUDevice,
  guard: LossGuard,
  memory: GpuMemory,
  tensor: GpuTensor,
): Promise<Uint8Array<ArrayBuffer>> {
  guard.check();
  const size = wholeWords(tensor.byteLength);
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(tensor.buffer, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await guard.wait(staging.mapAsync(GPUMapMode.READ)).catch(async (error: unknown) => {
      await memory.settle();
      // A map of our own buffer fails for no other reason.
      throw deviceLost(String(error), error);
    });
    await guard.wait(memory.settle());
    return new Uint8Array(staging.getMappedRange().slice(0, tensor.byteLength));
  } finally {
    staging.destroy();
  }
}
