// How much memory a device gives right now. WebGPU tells no such number: the only way is to ask for the memory.

/** Buffers of a probe: small enough for every device, large enough to be few. */
const PIECE_BYTES = 256 * 2 ** 20;

/**
 * Asks the device for `bytes` in pieces, and gives them back at once. What is refused is proof; what is granted
 * is not: drivers promise more than they have.
 *
 * @returns bytes that were granted, at most `bytes`
 */
export async function probeMemory(device: GPUDevice, bytes: number): Promise<number> {
  const pieces: GPUBuffer[] = [];
  const pieceBytes = Math.min(PIECE_BYTES, device.limits.maxBufferSize);
  let granted = 0;
  try {
    while (granted < bytes) {
      device.pushErrorScope("out-of-memory");
      pieces.push(device.createBuffer({ size: pieceBytes, usage: GPUBufferUsage.STORAGE }));
      if ((await device.popErrorScope()) !== null) break;
      granted += pieceBytes;
    }
  } finally {
    for (const piece of pieces) piece.destroy();
  }
  return Math.min(granted, bytes);
}
