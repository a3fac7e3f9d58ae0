// The frame of a PNG file: its signature and its chunks, each with length, type and checksum.
// https://www.w3.org/TR/png-3/#5DataRep

/** The eight bytes that every PNG file begins with. */
export const PNG_SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Bytes of a chunk that are not its data: length, type and checksum. */
const FRAME_BYTES = 12;
const TYPE_OFFSET = 4;
const DATA_OFFSET = 8;

/** A chunk of a file, its data a view into the file's bytes. */
export interface PngChunk {
  /** Four ASCII letters. */
  readonly type: string;
  readonly data: Uint8Array;
}

/** Bytes of a chunk: length, type, data, CRC-32 of type and data. */
export function pngChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAME_BYTES + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[TYPE_OFFSET + i] = type.charCodeAt(i);
  bytes.set(data, DATA_OFFSET);
  view.setUint32(DATA_OFFSET + data.length, crc32(bytes.subarray(TYPE_OFFSET, -4)));
  return bytes;
}

/**
 * Chunks of a PNG file, in order, up to its end or to the first damaged one.
 *
 * Yields nothing for bytes that are no PNG.
 */
export function* pngChunks(bytes: Uint8Array): Generator<PngChunk> {
  if (!isPng(bytes)) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = PNG_SIGNATURE.length;
  while (offset + FRAME_BYTES <= bytes.length) {
    const length = view.getUint32(offset);
    const end = offset + DATA_OFFSET + length;
    if (end + 4 > bytes.length) return;
    if (crc32(bytes.subarray(offset + TYPE_OFFSET, end)) !== view.getUint32(end)) return;
    const type = String.fromCharCode(...bytes.subarray(offset + TYPE_OFFSET, offset + DATA_OFFSET));
    yield { type, data: bytes.subarray(offset + DATA_OFFSET, end) };
    offset = end + 4;
  }
}

/** True when the bytes begin as a PNG file does. */
export function isPng(bytes: Uint8Array): boolean {
  return PNG_SIGNATURE.every((byte, i) => bytes[i] === byte);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32 as PNG and zip use it. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
