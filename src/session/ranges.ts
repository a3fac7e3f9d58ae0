// Byte ranges of writes and copies, checked the same way by both runtimes.
import { bytesPerElement, type DType } from "../base/dtype.ts";
import { elementCount, type Shape } from "../base/shape.ts";
import type { Tensor } from "./runtime.ts";

/** A checked copy. */
export interface CopyRange {
  readonly sourceOffset: number;
  readonly targetOffset: number;
  readonly bytes: number;
}

/** @throws RangeError when `data` does not fit into `tensor` at `offsetBytes` or starts off a 4-byte border */
export function checkWrite(tensor: Tensor, data: ArrayBufferView, offsetBytes: number): void {
  const end = offsetBytes + data.byteLength;
  if (offsetBytes % 4 !== 0 || offsetBytes < 0 || end > tensor.byteLength) {
    throw new RangeError(
      `Cannot write bytes ${offsetBytes}..${end} of a tensor of ${tensor.byteLength} bytes; offsets are multiples of 4.`,
    );
  }
  // The GPU writes whole words: a short last word is fine at the end of the tensor only.
  if (data.byteLength % 4 !== 0 && end !== tensor.byteLength) {
    throw new RangeError(
      `Cannot write ${data.byteLength} bytes into the middle of a tensor: not a multiple of 4.`,
    );
  }
}

/** @throws RangeError when `data` does not fill a new tensor: the rest would be zeros, and nobody would know */
export function checkWhole(dtype: DType, shape: Shape, data: ArrayBufferView): void {
  const bytes = elementCount(shape) * bytesPerElement(dtype);
  if (data.byteLength === bytes) return;
  throw new RangeError(
    `Cannot make a ${dtype} tensor [${shape.join(", ")}] of ${data.byteLength} bytes: it has ${bytes}.`,
  );
}

/** @throws RangeError when the range leaves a tensor, is not in words, or both tensors are the same */
export function checkCopy(
  source: Tensor,
  target: Tensor,
  range: { sourceOffset?: number; targetOffset?: number; bytes?: number },
): CopyRange {
  const { sourceOffset = 0, targetOffset = 0 } = range;
  const rest = Math.min(source.byteLength - sourceOffset, target.byteLength - targetOffset);
  const { bytes = rest } = range;
  const isInWords =
    sourceOffset % 4 === 0 && targetOffset % 4 === 0 && (bytes % 4 === 0 || bytes === rest);
  if (!isInWords || sourceOffset < 0 || targetOffset < 0 || bytes < 0 || bytes > rest) {
    throw new RangeError(
      `Cannot copy ${bytes} bytes from ${sourceOffset} of ${source.byteLength} to ${targetOffset} of ${target.byteLength}; numbers are multiples of 4.`,
    );
  }
  if (source === target) throw new RangeError("Cannot copy within one tensor.");
  return { sourceOffset, targetOffset, bytes };
}
