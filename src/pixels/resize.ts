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

/** The raster in another size, equal to `Image.resize((width, height), Image.LANCZOS)` of an RGB picture. */
export function resizeLanczos(raster: Raster, width: number, height: number): Raster {
  return resize(raster, width, height, LANCZOS);
}

/** The raster in another size, equal to `Image.resize((width, height), Image.BILINEAR)` of an RGB picture. */
export function resizeBilinear(raster: Raster, width: number, height: number): Raster {
  return resize(raster, width, height, BILINEAR);
}

/** The raster in another size, equal to `Image.resize((width, height), Image.BOX)` of an RGB picture. */
export function resizeBox(raster: Raster, width: number, height: number): Raster {
  return resize(raster, width, height, BOX);
}

function resize(raster: Raster, width: number, height: number, filter: Filter): Raster {
  assert(width > 0 && height > 0, "a picture has pixels");
  const wide = width === raster.width ? raster : resizeRows(raster, width, filter);
  if (height === wide.height) return wide;
  return resizeColumns(wide, height, filter);
}

function resizeRows(
  { width, height, channels, data }: Raster,
  target: number,
  filter: Filter,
): Raster {
  const out = new Uint8Array(target * height * channels);
  const taps = computeTaps(width, target, filter);
  for (let y = 0; y < height; y++) {
    for (const [x, { first, weights }] of taps.entries()) {
      const source = (y * width + first) * channels;
      const to = (y * target + x) * channels;
      for (let c = 0; c < channels; c++) out[to + c] = weigh(data, source + c, channels, weights);
    }
  }
  return { width: target, height, channels, data: out };
}

function resizeColumns(
  { width, height, channels, data }: Raster,
  target: number,
  filter: Filter,
): Raster {
  const out = new Uint8Array(width * target * channels);
  const line = width * channels;
  for (const [y, { first, weights }] of computeTaps(height, target, filter).entries()) {
    for (let x = 0; x < line; x++) {
      out[y * line + x] = weigh(data, first * line + x, line, weights);
    }
  }
  return { width, height: target, channels, data: out };
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

function computeTaps(size: number, target: number, filter: Filter): Taps[] {
  const scale = size / target;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  return Array.from({ length: target }, (_, out) => {
    const center = (out + 0.5) * scale;
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
