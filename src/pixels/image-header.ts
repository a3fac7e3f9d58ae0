// Kind and size of a picture file from its first bytes, before anything decodes it: a file of 10 kB can
// claim 10 billion pixels. Reads PNG, JPEG, WebP, GIF, BMP and AVIF; never throws on damaged bytes.

/** A file format whose size can be read here. */
export type ImageFormat = "png" | "jpeg" | "webp" | "gif" | "bmp" | "avif";

/** What a file says about itself. */
export interface ImageHeader {
  readonly format: ImageFormat;
  /** Pixels, before any rotation; 0 when the file is cut off before its size. */
  readonly width: number;
  readonly height: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

const UNKNOWN: Size = { width: 0, height: 0 };

/** Boxes of an AVIF file that are looked at; real files have some twenty. */
const MAX_BOXES = 1000;

/** Format and size that a file claims; undefined when it is of none of the six formats. */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const file = new Bytes(bytes);
  const format = formatOf(file);
  if (format === undefined) return undefined;
  return { format, ...SIZE_OF[format](file) };
}

/** True for text that begins as an SVG or XML document does. */
export function isMarkup(bytes: Uint8Array): boolean {
  const start = new TextDecoder().decode(bytes.subarray(0, 1024)).trimStart();
  return /^(?:<\?xml|<!--|<!doctype|<svg)/i.test(start);
}

/** Numbers and letters of a file; 0 and "" behind its end. */
class Bytes {
  readonly length: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.length = bytes.length;
  }

  text(offset: number, length: number): string {
    return String.fromCharCode(...this.#bytes.subarray(offset, offset + length));
  }

  u8(offset: number): number {
    return this.#bytes[offset] ?? 0;
  }

  big(offset: number, length: number): number {
    let value = 0;
    for (let i = 0; i < length; i++) value = value * 256 + this.u8(offset + i);
    return value;
  }

  little(offset: number, length: number): number {
    let value = 0;
    for (let i = length - 1; i >= 0; i--) value = value * 256 + this.u8(offset + i);
    return value;
  }
}

function formatOf(file: Bytes): ImageFormat | undefined {
  if (file.text(0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (file.text(0, 3) === "\xff\xd8\xff") return "jpeg";
  if (/^GIF8[79]a$/.test(file.text(0, 6))) return "gif";
  if (file.text(0, 4) === "RIFF" && file.text(8, 4) === "WEBP") return "webp";
  if (file.text(4, 4) === "ftyp" && /avi[fs]/.test(brands(file))) return "avif";
  return file.text(0, 2) === "BM" ? "bmp" : undefined;
}

/** Brands of an ISO media file, four letters each. */
function brands(file: Bytes): string {
  const end = Math.min(file.big(0, 4), 256);
  return file.text(8, 4) + file.text(16, end - 16);
}

const SIZE_OF: Readonly<Record<ImageFormat, (file: Bytes) => Size>> = {
  png: (file) => ({ width: file.big(16, 4), height: file.big(20, 4) }),
  jpeg: jpegSize,
  webp: webpSize,
  gif: gifSize,
  bmp: bmpSize,
  avif: avifSize,
};

/** Walks the segments to the frame header (SOF0..SOF15 without DHT, JPG and DAC). */
function jpegSize(file: Bytes): Size {
  let offset = 2;
  while (offset + 9 <= file.length) {
    if (file.u8(offset) !== 0xff) return UNKNOWN;
    const marker = file.u8(offset + 1);
    const isFill = marker === 0xff;
    const isBare = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (isFill || isBare) {
      offset += isFill ? 1 : 2;
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: file.big(offset + 7, 2), height: file.big(offset + 5, 2) };
    }
    const length = file.big(offset + 2, 2);
    // decoders look for the next marker behind a stuffed zero, and stop at markers that nobody has defined
    const isSegment = marker >= 0xc0 && marker !== 0xd9 && marker !== 0xda;
    if (length < 2 || !isSegment) return UNKNOWN;
    offset += 2 + length;
  }
  return UNKNOWN;
}

function webpSize(file: Bytes): Size {
  switch (file.text(12, 4)) {
    case "VP8 ":
      return { width: file.little(26, 2) & 0x3fff, height: file.little(28, 2) & 0x3fff };
    case "VP8L": {
      const packed = file.little(21, 4);
      return { width: (packed & 0x3fff) + 1, height: ((packed >>> 14) & 0x3fff) + 1 };
    }
    case "VP8X":
      return { width: file.little(24, 3) + 1, height: file.little(27, 3) + 1 };
    default:
      return UNKNOWN;
  }
}

/** The screen, and the first frame where it is larger: decoders give the larger of both. */
function gifSize(file: Bytes): Size {
  const screen = { width: file.little(6, 2), height: file.little(8, 2) };
  const flags = file.u8(10);
  let offset = 13 + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  while (file.u8(offset) === 0x21) {
    offset += 2; // an extension: its blocks follow, the last one is empty
    while (offset < file.length && file.u8(offset) !== 0) offset += 1 + file.u8(offset);
    offset++;
  }
  if (file.u8(offset) !== 0x2c) return screen;
  const right = file.little(offset + 1, 2) + file.little(offset + 5, 2);
  const bottom = file.little(offset + 3, 2) + file.little(offset + 7, 2);
  return { width: Math.max(screen.width, right), height: Math.max(screen.height, bottom) };
}

function bmpSize(file: Bytes): Size {
  const isOs2 = file.little(14, 4) === 12;
  if (isOs2) return { width: file.little(18, 2), height: file.little(20, 2) };
  // signed: a negative height means rows from top to bottom
  const height = Math.abs(file.little(22, 4) | 0);
  return { width: file.little(18, 4), height };
}

/**
 * The largest size that a file's boxes tell: of its items, of its tracks (a sequence has a still picture beside
 * them, which may be another), of its tracks' frames.
 */
function avifSize(file: Bytes): Size {
  const walk: BoxWalk = { sizes: [], boxes: 0 };
  walkBoxes(file, 0, file.length, walk);
  // behind so many boxes a decoder may find what was not looked at
  return walk.boxes > MAX_BOXES ? UNKNOWN : largest(walk.sizes);
}

interface BoxWalk {
  readonly sizes: Size[];
  boxes: number;
}

function walkBoxes(file: Bytes, start: number, end: number, walk: BoxWalk): void {
  let offset = start;
  while (offset + 8 <= end) {
    if (++walk.boxes > MAX_BOXES) return;
    const type = file.text(offset + 4, 4);
    const stated = file.big(offset, 4);
    const isWide = stated === 1;
    const length = isWide ? file.big(offset + 8, 8) : stated || end - offset;
    const body = offset + (isWide ? 16 : 8);
    const next = offset + length;
    if (next < body) return; // damaged: decoders go no further
    walk.sizes.push(...ownSize(file, type, body));
    const before = BYTES_BEFORE_BOXES.get(type);
    if (before !== undefined) walkBoxes(file, body + before, Math.min(next, end), walk);
    offset = next;
  }
}

/** Boxes that lead to a size, and what stands in them before the boxes inside. */
const BYTES_BEFORE_BOXES: ReadonlyMap<string, number> = new Map([
  ["meta", 4],
  ["iprp", 0],
  ["ipco", 0],
  ["moov", 0],
  ["trak", 0],
  ["mdia", 0],
  ["minf", 0],
  ["stbl", 0],
  ["stsd", 8],
]);

/** "ispe" is an item's size, "tkhd" a track's in 16.16, "av01" that of a track's frames. */
function ownSize(file: Bytes, type: string, body: number): Size[] {
  switch (type) {
    case "ispe":
      return [{ width: file.big(body + 4, 4), height: file.big(body + 8, 4) }];
    case "tkhd": {
      const isLong = file.u8(body) === 1; // times of 64 bits
      const at = body + (isLong ? 88 : 76);
      return [{ width: file.big(at, 2), height: file.big(at + 4, 2) }];
    }
    case "av01":
      return [{ width: file.big(body + 24, 2), height: file.big(body + 26, 2) }];
    default:
      return [];
  }
}

function largest(sizes: readonly Size[]): Size {
  return sizes.reduce((a, b) => (a.width * a.height >= b.width * b.height ? a : b), UNKNOWN);
}
