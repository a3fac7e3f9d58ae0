// Damaged pictures, and pictures whose headers claim any size. Nothing above the limit may reach a decoder, and
// what the header's reader told must be what another reading of the same bytes tells: a decoder has its own.
import {
  decodeImage,
  MAX_IMAGE_BYTES,
  MAX_IMAGE_PIXELS,
} from "../../../src/pixels/decode-image.ts";
import { readImageHeader } from "../../../src/pixels/image-header.ts";
import { avifSequence } from "../../support/avif-file.ts";
import { withSize } from "../../support/image-bombs.ts";
import { sizeForDecoder } from "../../support/image-sizes.ts";
import { corpus, pick, type CorpusFile } from "../corpus.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim } from "../typed.ts";

const SEQUENCE: CorpusFile = {
  path: "sequence.avif",
  bytes: avifSequence({ width: 16, height: 16 }, { width: 21, height: 13 }),
};
const FILES = [...corpus(/^images\/.*\.(png|jpg|gif|webp|bmp|avif)$/), SEQUENCE];

/** Every format can say this side. */
const SIDES_OF_ALL = 2 ** 13;

/** The file with another size in its header, up to the largest that its format can say. */
function bomb({ path, bytes }: CorpusFile, seed: number): Uint8Array<ArrayBuffer> {
  const power = seed % 31;
  const size = { width: 2 ** power, height: 2 ** (power + 1) };
  const made = withSize(path.slice(path.lastIndexOf(".") + 1), bytes, size);
  const told = readImageHeader(made)?.width ?? 0;
  claim(told >= Math.min(size.width, SIDES_OF_ALL), `${path}: ${told} of ${size.width} are told`);
  return made;
}

/** What reached the decoder and should not have: an error of its own would be taken for a damaged picture. */
const breaches: string[] = [];
const decodedOf = new Map<string, number>();

function watchDecoder(bytes: Uint8Array): void {
  if (bytes.length > MAX_IMAGE_BYTES) breaches.push(`${bytes.length} bytes reached the decoder`);
  const told = readImageHeader(bytes);
  if (!told) return void breaches.push("bytes of no known format reached the decoder");
  decodedOf.set(told.format, (decodedOf.get(told.format) ?? 0) + 1);
  const size = sizeForDecoder(told.format, bytes);
  if (!size) return; // refused before memory is taken
  const pixels = size.width * size.height;
  const both = `${told.format}: ${told.width} x ${told.height} was told, ${size.width} x ${size.height} found`;
  if (pixels > MAX_IMAGE_PIXELS) breaches.push(`${both}, above the limit`);
  // a box that decoders do not come to may tell a larger size: that is only too careful
  const isSame = told.width === size.width && told.height === size.height;
  const isFine = told.format === "avif" ? told.width * told.height >= pixels : isSame;
  if (!isFine) breaches.push(both);
}

async function readOne(seed: number): Promise<void> {
  const file = pick(FILES, seed);
  const bytes =
    seed % 4 === 0 ? bomb(file, seed >> 2) : damageBytes(file.bytes, draw(byteDamage, seed));
  try {
    await decodeImage(new Blob([bytes]));
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
  decodedOf.clear();
  globalThis.createImageBitmap = async (source: ImageBitmapSource): Promise<never> => {
    watchDecoder(new Uint8Array(await (source as Blob).arrayBuffer()));
    throw new DOMException("The source image could not be decoded.", "InvalidStateError");
  };
  try {
    const result = await runFuzz({ count, seed }, readOne);
    const formats = [...decodedOf].map(([format, times]) => `${times} ${format}`);
    return { ...result, seen: `reached the decoder: ${formats.join(", ")}` };
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
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 decodes over the limit, 0 sizes that differ",
  run,
};
