// A picture as a PNG file, with texts. Our own 60 lines and not a canvas: the bytes that come out are the
// pixels that went in (a canvas premultiplies, and some browsers add noise to what is read from it), and
// it runs in every worker and in Node.
import type { Pixels } from "../base/pixels.ts";
import { PNG_SIGNATURE, pngChunk } from "./png-chunk.ts";
import { pngTextChunk } from "./png-text.ts";

const BITS_PER_SAMPLE = 8;
const COLOUR_RGB = 2;
const COLOUR_RGBA = 6;
/** sRGB chunk: perceptual intent. */
const SRGB_PERCEPTUAL = 0;
/** "Paeth": each byte is stored as its difference from a guess by its left, upper and upper left neighbour. */
const FILTER_PAETH = 4;

/**
 * Bytes of a PNG file: 8-bit sRGB, with an alpha channel only where a pixel is not opaque.
 *
 * @param texts - iTXt chunks by keyword (1..79 printable ASCII characters), in order
 */
export async function encodePng(
  pixels: Pixels,
  texts: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const channels = isOpaque(pixels) ? 3 : 4;
  const compressed = await deflate(filterRows(pixels, channels));
  const parts = [
    Uint8Array.from(PNG_SIGNATURE),
    pngChunk("IHDR", header(pixels, channels)),
    pngChunk("sRGB", Uint8Array.of(SRGB_PERCEPTUAL)),
    ...Object.entries(texts).map(([keyword, text]) => pngTextChunk(keyword, text)),
    pngChunk("IDAT", compressed),
    pngChunk("IEND", new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function isOpaque({ data }: Pixels): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

function header({ width, height }: Pixels, channels: 3 | 4): Uint8Array {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data[8] = BITS_PER_SAMPLE;
  data[9] = channels === 3 ? COLOUR_RGB : COLOUR_RGBA;
  return data;
}

/** Rows of filter byte and filtered samples. */
function filterRows({ width, height, data }: Pixels, channels: number): Uint8Array<ArrayBuffer> {
  const rowBytes = width * channels;
  const filtered = new Uint8Array(height * (1 + rowBytes));
  let above = new Uint8Array(rowBytes);
  let row = new Uint8Array(rowBytes);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) row[x * channels + c] = data[(y * width + x) * 4 + c] ?? 0;
    }
    const start = y * (1 + rowBytes);
    filtered[start] = FILTER_PAETH;
    for (let i = 0; i < rowBytes; i++) {
      const left = i < channels ? 0 : (row[i - channels] ?? 0);
      const corner = i < channels ? 0 : (above[i - channels] ?? 0);
      filtered[start + 1 + i] = (row[i] ?? 0) - paeth(left, above[i] ?? 0, corner);
    }
    [above, row] = [row, above];
  }
  return filtered;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const toLeft = Math.abs(guess - left);
  const toUp = Math.abs(guess - up);
  const toCorner = Math.abs(guess - corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** zlib, as PNG wants it. */
async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
