// The last step of every drawing: a decoded image on the device -> pixels in JavaScript.
import { brokenNumbers } from "../base/numerics.ts";
import type { Pixels } from "../base/pixels.ts";
import { BROKEN_PIXEL, SAME_PIXEL } from "../session/runtime.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";

/** A picture of fewer pixels may well have one number for all. */
const MIN_VARIED_PIXELS = 64;

/**
 * Packs an image f32 [1, 3, height, width] in [-1, 1] to RGBA bytes and reads it back, once.
 *
 * @param image - disposed here
 * @param rounding - how the family's reference turns numbers into bytes
 * @throws ModelError numerics when the decoder gave no numbers, or the very same for every pixel. Bytes are not
 * judged: a picture may be all white, but convolutions over latents that differ leave differences in its numbers
 */
export async function readPicture(
  runtime: Runtime,
  image: Tensor,
  rounding: "truncate" | "round",
): Promise<Pixels> {
  const [height = 0, width = 0] = image.shape.slice(-2);
  const packed = runtime.createTensor("u32", [height, width]);
  runtime.kernels.packPixels({ image, packed, width, height, rounding })();
  const words = await runtime.read(packed);
  image.dispose();
  packed.dispose();
  const data = new Uint8ClampedArray(words.length * 4);
  data.set(new Uint8ClampedArray(words.buffer, words.byteOffset, data.length));
  checkNotes(data, width);
  return { width, height, data };
}

/** Reads what `packPixels` noted in every fourth byte, and makes it opaque. */
function checkNotes(data: Uint8ClampedArray, width: number): void {
  let same = 0;
  for (let n = 3; n < data.length; n += 4) {
    if (data[n] === BROKEN_PIXEL) {
      const place = { x: (n >> 2) % width, y: Math.floor((n >> 2) / width) };
      throw brokenNumbers(`The decoder gave no number for pixel ${place.x}, ${place.y}`, place);
    }
    if (data[n] === SAME_PIXEL) same += 1;
    data[n] = 255;
  }
  const pixels = data.length / 4;
  if (same < pixels || pixels < MIN_VARIED_PIXELS) return;
  throw brokenNumbers("The decoder gave the same numbers for every pixel", { pixels });
}
