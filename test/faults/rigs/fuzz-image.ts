// Damaged pictures, and pictures whose headers claim any size: nothing above the limit may reach a decoder.
import {
  decodeImage,
  MAX_IMAGE_BYTES,
  MAX_IMAGE_PIXELS,
} from "../../../src/pixels/decode-image.ts";
import { corpus, pick } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim } from "../typed.ts";

const FILES = corpus(/^images\/.*\.(png|jpg|gif|webp|bmp|avif)$/);

/** Where a format keeps its size, for pictures that are right but for that: a bomb is such a file. */
const SIZE_AT: Readonly<Record<string, { at: number; bytes: number; isBig: boolean }>> = {
  png: { at: 16, bytes: 4, isBig: true },
  gif: { at: 6, bytes: 2, isBig: false },
  bmp: { at: 18, bytes: 4, isBig: false },
};

function bomb(path: string, bytes: Uint8Array<ArrayBuffer>, seed: number): Uint8Array<ArrayBuffer> {
  const place = SIZE_AT[path.slice(path.lastIndexOf(".") + 1)];
  const copy = bytes.slice();
  if (!place) return copy;
  const view = new DataView(copy.buffer);
  for (const index of [0, 1]) {
    const at = place.at + index * place.bytes;
    const size = Math.floor(2 ** ((seed % 31) + index));
    if (place.bytes === 2) view.setUint16(at, Math.min(size, 0xffff), !place.isBig);
    else view.setUint32(at, Math.min(size, 0x7fffffff), !place.isBig);
  }
  return copy;
}

// The size that a decoder would see, read without the code under test; formats that take a walk are left out.
function claimedPixels(bytes: Uint8Array): number {
  if (bytes.length < 26 || bytes[0] !== 0x89 || bytes[1] !== 0x50) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(16) * view.getUint32(20);
}

/** What the decoder saw and should not have: an error of its own would be taken for a damaged picture. */
const breaches: string[] = [];

function watchDecoder(bytes: Uint8Array): void {
  if (bytes.length > MAX_IMAGE_BYTES) breaches.push(`${bytes.length} bytes reached the decoder`);
  const pixels = claimedPixels(bytes);
  if (pixels > MAX_IMAGE_PIXELS) breaches.push(`${pixels} pixels reached the decoder`);
}

async function readOne(seed: number): Promise<void> {
  const { path, bytes } = pick(FILES, seed);
  const file =
    seed % 4 === 0 ? bomb(path, bytes, seed >> 2) : damageBytes(bytes, draw(byteDamage, seed));
  try {
    await decodeImage(new Blob([file]));
  } catch (error) {
    // A wrong picture is the caller's mistake.
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    const isOurs = /image|SVG|file/i.test(error.message);
    if (!isOurs) throw error;
  }
  claim(breaches.length === 0, breaches.splice(0).join("; "));
}

async function run(count: number, seed: number): Promise<RigResult> {
  const decode = globalThis.createImageBitmap;
  let decoded = 0;
  globalThis.createImageBitmap = async (source: ImageBitmapSource): Promise<never> => {
    watchDecoder(new Uint8Array(await (source as Blob).arrayBuffer()));
    decoded++;
    throw new DOMException("The source image could not be decoded.", "InvalidStateError");
  };
  try {
    const result = await runFuzz({ count, seed }, readOne);
    return { ...result, seen: `${decoded} reached the decoder` };
  } finally {
    globalThis.createImageBitmap = decode;
  }
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-image",
  what: "mutated pictures and decompression bombs",
  count: 10_000,
  slice: 500,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 decodes over the limit",
  run,
};
