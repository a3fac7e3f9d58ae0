// A picture as a vision tower wants it: long side to the tower's size, padded to a square, normalised.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/image_processing_vlm.py
import { present } from "../base/assert.ts";
import type { Pixels } from "../base/pixels.ts";
import { resizeBicubic, type Raster } from "./resize.ts";

/** How bytes become numbers: times the factor, less the mean, over the deviation. */
export interface Normalization {
  readonly rescaleFactor: number;
  /** Per channel, in [0, 1]. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** preprocessor_config.json of a VLMImageProcessor; the mean is also the colour of the padding. */
export interface PreprocessOptions extends Normalization {
  /** Side of the square, pixels. */
  readonly imageSize: number;
  /** Least pixels of the short side. */
  readonly minSize: number;
  readonly doNormalize: boolean;
}

const CHANNELS = 3;

/** The picture as [3, size, size] numbers. Transparency is dropped, as Pillow's convert("RGB") does. */
export function preprocess(pixels: Pixels, options: PreprocessOptions): Float32Array<ArrayBuffer> {
  const { imageSize, minSize } = options;
  const longest = Math.max(pixels.width, pixels.height);
  const sized = (side: number): number =>
    Math.max(Math.trunc((side / longest) * imageSize), minSize);
  const resized = resizeBicubic(dropAlpha(pixels), sized(pixels.width), sized(pixels.height));
  return normalize(padToSquare(resized, options.mean), options);
}

/** The picture without its transparency, as Pillow's convert("RGB") leaves it. */
export function dropAlpha({ width, height, data }: Pixels): Raster {
  const rgb = new Uint8Array(width * height * CHANNELS);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < CHANNELS; c++) rgb[pixel * CHANNELS + c] = data[pixel * 4 + c] ?? 0;
  }
  return { width, height, channels: CHANNELS, data: rgb };
}

// The reference fills with the mean, as a byte rounded down.
function padToSquare(raster: Raster, mean: readonly number[]): Raster {
  const { width, height, data } = raster;
  if (width === height) return raster;
  const size = Math.max(width, height);
  const fill = Uint8Array.from(mean, (value) => Math.trunc(value * 255));
  const square = new Uint8Array(size * size * CHANNELS);
  for (let k = 0; k < square.length; k++) square[k] = present(fill[k % CHANNELS], "fill");
  const left = width > height ? 0 : Math.floor((height - width) / 2);
  const top = width > height ? Math.floor((width - height) / 2) : 0;
  for (let y = 0; y < height; y++) {
    const line = data.subarray(y * width * CHANNELS, (y + 1) * width * CHANNELS);
    square.set(line, ((y + top) * size + left) * CHANNELS);
  }
  return { width: size, height: size, channels: CHANNELS, data: square };
}

/** [3, size, size] numbers of a raster, each channel less its mean over its deviation. */
export function normalize(
  { width, height, data }: Raster,
  options: Omit<PreprocessOptions, "imageSize" | "minSize">,
): Float32Array<ArrayBuffer> {
  const { rescaleFactor, doNormalize, mean, std } = options;
  const area = width * height;
  const planes = new Float32Array(CHANNELS * area);
  for (let c = 0; c < CHANNELS; c++) {
    const [shift, scale] = doNormalize ? [mean[c] ?? 0, std[c] ?? 1] : [0, 1];
    for (let pixel = 0; pixel < area; pixel++) {
      const value = (data[pixel * CHANNELS + c] ?? 0) * rescaleFactor;
      planes[c * area + pixel] = (value - shift) / scale;
    }
  }
  return planes;
}
