// A picture of any size for a model that takes any whole number of patches: shrunk below a largest side,
// grown to one patch at least, its edges cut to whole patches.
import type { Pixels } from "../base/pixels.ts";
import { dropAlpha } from "./preprocess.ts";
import { resizeBicubic, resizeBox, type Raster } from "./resize.ts";

/** Which sizes a model takes. */
export interface GridOptions {
  /** Longest side, pixels. */
  readonly maxSize: number;
  /** Both sides become multiples of this. */
  readonly patch: number;
}

/** Width and height, pixels. */
type Size = readonly [width: number, height: number];

/**
 * The picture in a size that the model takes: halved by a box filter while its short side is twice the
 * largest one, then bicubic to the largest side, then cut evenly at both ends.
 *
 * @throws RangeError for a picture that would shrink to nothing
 * @see https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/utils.py#L83-L110
 */
export function cropToGrid(pixels: Pixels, options: GridOptions): Raster {
  const { halvings, scalings } = sizesOnTheWay([pixels.width, pixels.height], options);
  let raster = dropAlpha(pixels);
  for (const size of halvings) raster = resizeBox(raster, ...size);
  for (const size of scalings) raster = resizeBicubic(raster, ...size);
  return crop(raster, options.patch);
}

/** [width, height] that `cropToGrid` gives a picture. @throws RangeError as it does */
export function gridSize(
  { width, height }: Pick<Pixels, "width" | "height">,
  options: GridOptions,
): Size {
  const { halvings, scalings } = sizesOnTheWay([width, height], options);
  const [wide, high] = [...halvings, ...scalings].at(-1) ?? [width, height];
  return [wide - (wide % options.patch), high - (high % options.patch)];
}

function sizesOnTheWay(size: Size, { maxSize, patch }: GridOptions) {
  const [halvings, scalings]: [Size[], Size[]] = [[], []];
  let [width, height] = size;
  while (Math.min(width, height) >= 2 * maxSize) {
    [width, height] = [Math.floor(width / 2), Math.floor(height / 2)];
    halvings.push([width, height]);
  }
  const scale = (factor: number): void => {
    [width, height] = [roundToEven(width * factor), roundToEven(height * factor)];
    if (width * height === 0) throw tooLong(size, maxSize);
    scalings.push([width, height]);
  };
  if (Math.max(width, height) > maxSize) scale(maxSize / Math.max(width, height));
  if (Math.min(width, height) < patch) scale(patch / Math.min(width, height));
  return { halvings, scalings };
}

// The reference's Pillow fails there too.
function tooLong([width, height]: Size, maxSize: number): RangeError {
  return new RangeError(
    `A picture of ${width} x ${height} pixels is too long and narrow: with a long side of ${maxSize} ` +
      "its short side would have no pixel. Cut it.",
  );
}

/** Bytes [height, width, 3] -> f32 [3, height, width] in [-1, 1]. */
export function toSignedPlanes({
  width,
  height,
  channels,
  data,
}: Raster): Float32Array<ArrayBuffer> {
  const area = width * height;
  return Float32Array.from({ length: channels * area }, (_, at) => {
    const byte = data[(at % area) * channels + Math.floor(at / area)] ?? 0;
    return (Math.fround(byte / 255) - 0.5) / 0.5;
  });
}

// Python's round: halves go to the even neighbour.
function roundToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

// The odd pixel is cut at the bottom and on the right.
function crop(raster: Raster, patch: number): Raster {
  const { width, height, channels, data } = raster;
  const [wide, high] = [width - (width % patch), height - (height % patch)];
  const [left, top] = [Math.floor((width % patch) / 2), Math.floor((height % patch) / 2)];
  const out = new Uint8Array(wide * high * channels);
  for (let y = 0; y < high; y++) {
    const from = ((y + top) * width + left) * channels;
    out.set(data.subarray(from, from + wide * channels), y * wide * channels);
  }
  return { width: wide, height: high, channels, data: out };
}
