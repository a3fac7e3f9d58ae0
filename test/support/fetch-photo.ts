// A photo of the goldens in a browser, byte for byte: PNG files without a colour profile.
import type { Pixels } from "../../src/base/pixels.ts";

/** The pixels of a picture file. */
export async function fetchPhoto(url: string): Promise<Pixels> {
  const bitmap = await createImageBitmap(await (await fetch(url)).blob());
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (context === null) throw new Error("no 2d context");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: new Uint8ClampedArray(data) };
}
