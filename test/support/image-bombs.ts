// Picture files that claim another size, right but for that: a bomb is such a file.

/** Where a file keeps width and height. */
interface Place {
  readonly at: number;
  readonly bytes: 2 | 3 | 4;
  readonly isBig: boolean;
  /** What is written is one less. */
  readonly isLess?: boolean;
  /** Where that is less than the bytes could hold. */
  readonly most?: number;
  /** Height first. */
  readonly isTurned?: boolean;
}

/** A copy that claims the size, as far as its format can say it. @throws Error for a file without a place for it */
export function withSize(
  format: string,
  bytes: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  if (format === "webp" && startsAt(bytes, 12, "VP8L")) return withPackedSize(copy, width, height);
  for (const place of placesOf(format, bytes)) {
    const sides = place.isTurned ? [height, width] : [width, height];
    sides.forEach((side, index) => write(copy, place, index, side));
  }
  return copy;
}

function write(bytes: Uint8Array, place: Place, index: number, side: number): void {
  const { most = 2 ** (8 * place.bytes - (place.bytes === 4 ? 1 : 0)) - 1 } = place;
  let rest = Math.min(side, most) - (place.isLess ? 1 : 0);
  const start = place.at + index * place.bytes;
  for (let k = 0; k < place.bytes; k++) {
    bytes[start + (place.isBig ? place.bytes - 1 - k : k)] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

// Two numbers of 14 bits, each one less than its side, behind a byte of signature.
function withPackedSize(
  bytes: Uint8Array<ArrayBuffer>,
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> {
  const [wide, high] = [width, height].map((side) => Math.min(side, 2 ** 14) - 1);
  const view = new DataView(bytes.buffer);
  const flags = (view.getUint32(21, true) >>> 28) * 2 ** 28;
  view.setUint32(21, flags + (high ?? 0) * 2 ** 14 + (wide ?? 0), true);
  return bytes;
}

function startsAt(bytes: Uint8Array, at: number, text: string): boolean {
  return String.fromCharCode(...bytes.subarray(at, at + text.length)) === text;
}

function placesOf(format: string, bytes: Uint8Array): Place[] {
  const text = new TextDecoder("latin1").decode(bytes);
  switch (format) {
    case "png":
      return [{ at: 16, bytes: 4, isBig: true }];
    case "gif":
      return [{ at: 6, bytes: 2, isBig: false }];
    case "bmp":
      return [{ at: 18, bytes: 4, isBig: false }];
    case "jpg": {
      const frames = ["\xff\xc0\0\x11\x08", "\xff\xc2\0\x11\x08"];
      const frame = Math.max(...frames.map((start) => text.indexOf(start)));
      return [{ at: found(frame) + 5, bytes: 2, isBig: true, isTurned: true }];
    }
    case "webp":
      return text.startsWith("VP8X", 12)
        ? [{ at: 24, bytes: 3, isBig: false, isLess: true }]
        : [{ at: 26, bytes: 2, isBig: false, most: 2 ** 14 - 1 }];
    case "avif": {
      const still: Place = { at: found(text.indexOf("ispe")) + 8, bytes: 4, isBig: true };
      const frames = text.indexOf("av01", text.indexOf("stsd"));
      const isSequence = text.includes("stsd");
      return isSequence ? [{ at: frames + 28, bytes: 2, isBig: true }] : [still];
    }
    default:
      throw new Error(`where does a ${format} keep its size?`);
  }
}

function found(at: number): number {
  if (at < 0) throw new Error("the file has no place for a size");
  return at;
}
