// Pillow's resize, to the byte: separable, antialiased when shrinking, fixed-point weights, and an
// 8-bit picture between the two passes. Rows first, always, as in the Pillow of the references (before 13,
// which takes columns first where they shrink much more: python-pillow/Pillow#9549).
// https://github.com/python-pillow/Pillow/blob/11.0.0/src/libImaging/Resample.c
import { assert } from "../base/assert.ts";

/** Rows of pixels with interleaved channels. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  /** Bytes per pixel. */
  readonly channels: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** The part of a resized picture that is computed, in pixels of that picture. */
export interface PixelWindow {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Weights of one output pixel over consecutive input pixels. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

/** How far a filter reaches and what it weighs, in output pixels. */
interface Filter {
  readonly support: number;
  weight(distance: number): number;
}

// Pillow: 32 bits less 8 of the pixel less 2 of headroom for weights outside [0, 1].
const PRECISION_BITS = 32 - 8 - 2;
const SHARPNESS = -0.5;
const BICUBIC: Filter = { support: 2, weight: cubic };
const LANCZOS: Filter = {
  support: 3,
  weight: (distance) => (distance >= -3 && distance < 3 ? sinc(distance) * sinc(distance / 3) : 0),
};
const BILINEAR: Filter = { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) };
const BOX: Filter = {
  support: 0.5,
  weight: (distance) => (distance > -0.5 && distance <= 0.5 ? 1 : 0),
};

/** The raster in another size, equal to `Image.resize((width, height), Image.BICUBIC)` of an RGB picture. */
export function resizeBicubic(raster: Raster, width: number, height: number): Raster {
  return resize(raster, width, height, BICUBIC);
}

/**
 * The raster in another size, equal to `Image.resize((width, height), Image.LANCZOS)` of an RGB picture.
 *
 * @param window - the part that is wanted, default all: the same bytes as a crop afterwards, and what is
 *   outside of it costs nothing
 */
export function resizeLanczos(
  raster: Raster,
  width: number,
  height: number,
  window?: PixelWindow,
): Raster {
  return resize(raster, width, height, LANCZOS, window);
}

/** The raster in another size, equal to `Image.resize((width, height), Image.BILINEAR)` of an RGB picture. */
export function resizeBilinear(raster: Raster, width: number, height: number): Raster {
  return resize(raster, width, height, BILINEAR);
}

/** The raster in another size, equal to `Image.resize((width, height), Image.BOX)` of an RGB picture. */
export function resizeBox(raster: Raster, width: number, height: number): Raster {
  return resize(raster, width, height, BOX);
}

function resize(
  raster: Raster,
  width: number,
  height: number,
  filter: Filter,
  window: PixelWindow = { left: 0, top: 0, width, height },
): Raster {
  assert(width > 0 && height > 0, "a picture has pixels");
  const hasWidth = raster.width === width && window.width === width;
  const hasHeight = raster.height === height && window.height === height;
  const rows = computeTaps(raster.height, height, filter, window.top, window.height);
  const [from, to] = hasHeight ? [0, height] : reach(rows);
  const wide = hasWidth
    ? raster
    : resizeRows(raster, computeTaps(raster.width, width, filter, window.left, window.width), {
        from,
        to,
      });
  return hasHeight ? wide : resizeColumns(wide, rows, hasWidth ? 0 : from);
}

/** The input pixels that any of the output's looks at. */
function reach(taps: readonly Taps[]): [from: number, to: number] {
  const [first, last] = [taps.at(0), taps.at(-1)];
  return [first?.first ?? 0, (last?.first ?? 0) + (last?.weights.length ?? 0)];
}

/** Rows `from` to `to` in another width. */
function resizeRows(
  { width, channels, data }: Raster,
  taps: readonly Taps[],
  { from, to }: { readonly from: number; readonly to: number },
): Raster {
  const [wide, high] = [taps.length, to - from];
  const out = new Uint8Array(wide * high * channels);
  for (let y = 0; y < high; y++) {
    for (const [x, { first, weights }] of taps.entries()) {
      const source = ((y + from) * width + first) * channels;
      const at = (y * wide + x) * channels;
      for (let c = 0; c < channels; c++) out[at + c] = weigh(data, source + c, channels, weights);
    }
  }
  return { width: wide, height: high, channels, data: out };
}

/** @param skipped - rows above the raster that the taps count and it does not hold */
function resizeColumns(
  { width, channels, data }: Raster,
  taps: readonly Taps[],
  skipped: number,
): Raster {
  const out = new Uint8Array(width * taps.length * channels);
  const line = width * channels;
  for (const [y, { first, weights }] of taps.entries()) {
    for (let x = 0; x < line; x++) {
      out[y * line + x] = weigh(data, (first - skipped) * line + x, line, weights);
    }
  }
  return { width, height: taps.length, channels, data: out };
}

function weigh(
  data: Uint8Array | Uint8ClampedArray,
  start: number,
  stride: number,
  weights: Int32Array,
): number {
  // Rounds to nearest; sums stay below 2^53, so plain numbers are exact.
  let sum = 2 ** (PRECISION_BITS - 1);
  for (let k = 0; k < weights.length; k++)
    sum += (data[start + k * stride] ?? 0) * (weights[k] ?? 0);
  return Math.min(255, Math.max(0, Math.floor(sum / 2 ** PRECISION_BITS)));
}

/** The taps of `count` output pixels from `start`, of a side that goes from `size` pixels to `target`. */
function computeTaps(
  size: number,
  target: number,
  filter: Filter,
  start: number,
  count: number,
): Taps[] {
  const scale = size / target;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  return Array.from({ length: count }, (_, index) => {
    const center = (start + index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(size, Math.trunc(center + support + 0.5));
    // times the inverse and not divided by, as Pillow does: the last bit may decide a rounding
    const raw = Array.from({ length: end - first }, (_unused, k) =>
      filter.weight((k + first - center + 0.5) * (1 / stretch)),
    );
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: Int32Array.from(raw, (weight) => toFixed(weight / total)) };
  });
}

function toFixed(weight: number): number {
  return Math.trunc(weight * 2 ** PRECISION_BITS + (weight < 0 ? -0.5 : 0.5));
}

// Keys' cubic with a = -0.5.
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((SHARPNESS + 2) * x - (SHARPNESS + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * SHARPNESS;
  return 0;
}

function sinc(distance: number): number {
  const x = distance * Math.PI;
  return x === 0 ? 1 : Math.sin(x) / x;
}
