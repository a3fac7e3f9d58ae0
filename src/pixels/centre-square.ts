// A picture as a picture tokenizer wants it: on white, short side to the tokenizer's size, the middle square.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/image_tokenizer.py#L46-L97
import type { Pixels } from "../base/pixels.ts";
import { resizeLanczos, type Raster } from "./resize.ts";

const CHANNELS = 3;
const WHITE = 255;

/** The middle square of the picture, [3, size, size] in [-1, 1]. */
export function centreSquare(pixels: Pixels, size: number): Float32Array<ArrayBuffer> {
  const scale = size / Math.min(pixels.width, pixels.height);
  const width = roundHalfEven(scale * pixels.width);
  const height = roundHalfEven(scale * pixels.height);
  // The reference resizes all of the picture and cuts: of 1 x 2000 pixels it makes a million rows.
  const window = {
    left: Math.floor((width - size) / 2),
    top: Math.floor((height - size) / 2),
    width: size,
    height: size,
  };
  const { data } = resizeLanczos(onWhite(pixels), width, height, window);
  const area = size ** 2;
  const planes = new Float32Array(CHANNELS * area);
  for (let at = 0; at < planes.length; at++) {
    const value = data[(at % area) * CHANNELS + Math.floor(at / area)] ?? 0;
    planes[at] = (value / 255) * 2 - 1;
  }
  return planes;
}

/** The picture over white, bytes rounded down. */
function onWhite({ width, height, data }: Pixels): Raster {
  const rgb = new Uint8Array(width * height * CHANNELS);
  for (let at = 0; at < rgb.length; at++) {
    const pixel = Math.floor(at / CHANNELS) * 4;
    const alpha = (data[pixel + 3] ?? 0) / 255;
    rgb[at] = (1 - alpha) * WHITE + alpha * (data[pixel + (at % CHANNELS)] ?? 0);
  }
  return { width, height, channels: CHANNELS, data: rgb };
}

/** Python's round. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
