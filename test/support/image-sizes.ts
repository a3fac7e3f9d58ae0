// The size of a picture file as a strict decoder finds it, written apart from the reader under test: text patterns
// and cursors in place of its tables. Undefined: a decoder would refuse the file before it takes memory for pixels.

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Reads big- or little-endian numbers one after the other; throws behind the end. */
class Cursor {
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#view.byteLength - this.at;
  }

  u8(): number {
    return this.#view.getUint8(this.at++);
  }

  u16(isLittle = false): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, isLittle);
  }

  u32(isLittle = false): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, isLittle);
  }

  i32(isLittle = false): number {
    this.at += 4;
    return this.#view.getInt32(this.at - 4, isLittle);
  }

  text(count: number): string {
    return Array.from({ length: count }, () => String.fromCharCode(this.u8())).join("");
  }

  skip(count: number): void {
    if (count < 0 || count > this.left) throw new RangeError("behind the end");
    this.at += count;
  }
}

/** What a decoder would make of the bytes: one size, or the largest of several where it may choose. */
export function sizeForDecoder(format: string, bytes: Uint8Array): Size | undefined {
  const read = READERS[format];
  if (!read) throw new Error(`how large is a ${format}?`);
  try {
    const size = read(new Cursor(bytes));
    return size && size.width > 0 && size.height > 0 ? size : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const READERS: Readonly<Record<string, (file: Cursor) => Size | undefined>> = {
  png(file) {
    file.skip(8);
    const [length, type] = [file.u32(), file.text(4)];
    if (length !== 13 || type !== "IHDR") return undefined;
    return { width: file.u32(), height: file.u32() };
  },

  // libjpeg's next_marker: to the next ff, over fill bytes, a zero behind it starts the search again
  jpeg(file) {
    file.skip(2);
    for (;;) {
      while (file.u8() !== 0xff);
      let marker = file.u8();
      while (marker === 0xff) marker = file.u8();
      if (marker === 0x00 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;
      const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
      const isSkipped = marker >= 0xe0 || [0xc4, 0xcc, 0xdb, 0xdc, 0xdd].includes(marker);
      if (!isFrame && !(isSkipped && (marker < 0xf0 || marker === 0xfe))) return undefined;
      const length = file.u16();
      if (!isFrame) {
        file.skip(length - 2);
        continue;
      }
      file.skip(1);
      const height = file.u16();
      return { width: file.u16(), height };
    }
  },

  webp(file) {
    file.skip(12);
    const kind = file.text(4);
    file.skip(4);
    if (kind === "VP8 ") {
      const isKey = (file.u8() & 1) === 0;
      file.skip(2);
      if (!isKey || file.text(3) !== "\x9d\x01\x2a") return undefined;
      return { width: file.u16(true) % 2 ** 14, height: file.u16(true) % 2 ** 14 };
    }
    if (kind === "VP8L") {
      if (file.u8() !== 0x2f) return undefined;
      const bits = BigInt(file.u32(true));
      return { width: Number(bits & 0x3fffn) + 1, height: Number((bits >> 14n) & 0x3fffn) + 1 };
    }
    if (kind !== "VP8X") return undefined;
    file.skip(4);
    const [low, middle, high] = [file.u16(true), file.u16(true), file.u16(true)];
    return { width: low + (middle % 256) * 65536 + 1, height: (middle >> 8) + high * 256 + 1 };
  },

  gif(file) {
    file.skip(6);
    const screen = { width: file.u16(true), height: file.u16(true) };
    const flags = file.u8();
    file.skip(2 + (flags >= 128 ? 3 * (2 << (flags % 8)) : 0));
    for (let block = file.u8(); block !== 0x2c; block = file.u8()) {
      if (block !== 0x21) return undefined; // no frame: nothing is decoded
      file.skip(1);
      for (let length = file.u8(); length > 0; length = file.u8()) file.skip(length);
    }
    const [left, top, wide, high] = [
      file.u16(true),
      file.u16(true),
      file.u16(true),
      file.u16(true),
    ];
    return {
      width: Math.max(screen.width, left + wide),
      height: Math.max(screen.height, top + high),
    };
  },

  bmp(file) {
    file.skip(14);
    const isOld = file.u32(true) === 12;
    const size = isOld
      ? { width: file.u16(true), height: file.u16(true) }
      : { width: file.i32(true), height: Math.abs(file.i32(true)) };
    return size;
  },

  avif(file) {
    const sizes: Size[] = [];
    readBoxes(file, file.left, "", sizes);
    return sizes.toSorted((a, b) => b.width * b.height - a.width * a.height)[0];
  },
};

/** Where a size is told, and what leads there. */
const LEADS =
  /^\/(?:meta(?:\/iprp(?:\/ipco)?)?|moov(?:\/trak(?:\/mdia(?:\/minf(?:\/stbl(?:\/stsd)?)?)?)?)?)$/;

// Every box must be whole, but for the last of the file, which a decoder may not come to.
function readBoxes(file: Cursor, length: number, path: string, sizes: Size[]): void {
  const end = file.at + length;
  while (end - file.at >= 8) {
    const start = file.at;
    let size = file.u32();
    const inside = `${path}/${file.text(4)}`;
    if (size === 1) size = file.u32() * 2 ** 32 + file.u32();
    if (size === 0) size = end - start;
    const rest = start + size - file.at;
    if (rest < 0 || start + size > end) return;
    readSize(file, inside, sizes);
    if (LEADS.test(inside)) {
      const before = inside === "/meta" ? 4 : inside.endsWith("/stsd") ? 8 : 0;
      if (rest >= before) {
        file.skip(before);
        readBoxes(file, rest - before, inside, sizes);
      }
    }
    file.at = start + size;
  }
}

function readSize(file: Cursor, path: string, sizes: Size[]): void {
  const start = file.at;
  if (path === "/meta/iprp/ipco/ispe") {
    file.skip(4);
    sizes.push({ width: file.u32(), height: file.u32() });
  } else if (path === "/moov/trak/tkhd") {
    file.skip(file.u8() === 1 ? 87 : 75);
    sizes.push({ width: file.u32() >>> 16, height: file.u32() >>> 16 });
  } else if (path === "/moov/trak/mdia/minf/stbl/stsd/av01") {
    file.skip(24);
    sizes.push({ width: file.u16(), height: file.u16() });
  }
  file.at = start;
}
