// The last step of every drawing: a decoded image on the device -> pixels in JavaScript.
import type { Pixels } from "../base/pixels.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";

/**
 * Packs an image f32 [1, 3, height, width] in [-1, 1] to RGBA bytes and reads it back, once.
 *
 * @param image - disposed here
 * @param rounding - how the family's reference turns numbers into bytes
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
  return { width, height, data };
}
