// A picture as the vision tower wants it: resized to whole tokens, cut into patches in window order, with the
// angles and the window mask of its grid. Pure numbers.
// https://github.com/huggingface/transformers/blob/v4.49.0/src/transformers/models/qwen2_vl/image_processing_qwen2_vl.py
import { patchFeatures, type QwenVisionConfig } from "../../graph/blocks/qwen-vision.ts";
import type { Normalization } from "../../pixels/preprocess.ts";
import type { Raster } from "../../pixels/resize.ts";

/** Tokens of a picture along its sides. */
export interface TokenGrid {
  readonly rows: number;
  readonly columns: number;
}

/** What the tower's graph reads beside the patches; depends on the grid alone. */
export interface GridInputs {
  /** [patches, head size / 2] each. */
  readonly cos: Float32Array<ArrayBuffer>;
  readonly sin: Float32Array<ArrayBuffer>;
  /** [patches, patches]: 0 inside a window, far below any score outside. */
  readonly windows: Float32Array<ArrayBuffer>;
  /** For each token in raster order its place in window order. */
  readonly order: Int32Array<ArrayBuffer>;
}

// Added to a score instead of -infinity: far below any score, and still a finite f16 number.
const HIDDEN = -30000;
const ROPE_THETA = 10000;
const MAX_RATIO = 200;
const CHANNELS = 3;

/**
 * Sides that are multiples of `factor`, near the picture's own, with an area between the two limits.
 *
 * @throws RangeError for a picture more than 200 times as long as wide
 */
export function smartResize(
  { width, height }: { readonly width: number; readonly height: number },
  { factor, minPixels, maxPixels }: { factor: number; minPixels: number; maxPixels: number },
): { readonly width: number; readonly height: number } {
  if (Math.max(width, height) / Math.min(width, height) > MAX_RATIO) {
    throw new RangeError(
      `A picture of ${width} x ${height} pixels is too long: at most ${MAX_RATIO} to 1.`,
    );
  }
  const near = (side: number): number => Math.max(factor, roundHalfEven(side / factor) * factor);
  const sides = { width: near(width), height: near(height) };
  const area = sides.width * sides.height;
  if (area > maxPixels) {
    const shrink = Math.sqrt((height * width) / maxPixels);
    const down = (side: number): number =>
      Math.max(factor, Math.floor(side / shrink / factor) * factor);
    return { width: down(width), height: down(height) };
  }
  if (area < minPixels) {
    const grow = Math.sqrt(minPixels / (height * width));
    const up = (side: number): number => Math.ceil((side * grow) / factor) * factor;
    return { width: up(width), height: up(height) };
  }
  return sides;
}

/** Tokens of a raster whose sides are whole tokens. */
export function tokenGrid(
  { width, height }: { readonly width: number; readonly height: number },
  { patchSize, mergeSize }: QwenVisionConfig,
): TokenGrid {
  const side = patchSize * mergeSize;
  return { rows: height / side, columns: width / side };
}

/** Normalised patches [patches, features] in window order; every frame is the same picture. */
export function cutPatches(
  raster: Raster,
  config: QwenVisionConfig,
  { rescaleFactor, mean, std }: Normalization,
): Float32Array<ArrayBuffer> {
  const { patchSize, temporalPatchSize } = config;
  const features = patchFeatures(config);
  const places = patchPlaces(tokenGrid(raster, config), config);
  const patches = new Float32Array(places.length * features);
  const area = patchSize ** 2;
  places.forEach(({ row, column }, patch) => {
    for (let channel = 0; channel < CHANNELS; channel++) {
      const [shift, scale] = [mean[channel] ?? 0, std[channel] ?? 1];
      const start = patch * features + channel * temporalPatchSize * area;
      for (let pixel = 0; pixel < area; pixel++) {
        const y = row * patchSize + Math.floor(pixel / patchSize);
        const x = column * patchSize + (pixel % patchSize);
        const byte = raster.data[(y * raster.width + x) * CHANNELS + channel] ?? 0;
        const value = (byte * rescaleFactor - shift) / scale;
        for (let frame = 0; frame < temporalPatchSize; frame++) {
          patches[start + frame * area + pixel] = value;
        }
      }
    }
  });
  return patches;
}

/** The tower's other inputs for a grid. */
export function gridInputs(grid: TokenGrid, config: QwenVisionConfig): GridInputs {
  const places = patchPlaces(grid, config);
  const half = config.width / config.heads / 2;
  const quarter = half / 2;
  // The reference multiplies in f32: angle = place * f32(theta^(-k/quarter)).
  const frequencies = Float32Array.from(
    { length: quarter },
    (_, k) => 1 / ROPE_THETA ** (k / quarter),
  );
  const angles = Float32Array.from({ length: places.length * half }, (_, at) => {
    const place = places[Math.floor(at / half)];
    const k = at % half;
    const along = k < quarter ? place?.row : place?.column;
    return (along ?? 0) * (frequencies[k % quarter] ?? 0);
  });
  const windows = new Float32Array(places.length ** 2);
  places.forEach((query, row) => {
    places.forEach((key, column) => {
      if (query.window !== key.window) windows[row * places.length + column] = HIDDEN;
    });
  });
  const order = new Int32Array(grid.rows * grid.columns);
  windowedTokens(grid, config).forEach(({ row, column }, place) => {
    order[row * grid.columns + column] = place;
  });
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin), windows, order };
}

interface Place {
  readonly row: number;
  readonly column: number;
  readonly window: number;
}

/** Tokens window by window; windows, and tokens inside them, from left to right and top to bottom. */
function windowedTokens(
  { rows, columns }: TokenGrid,
  { windowSize, patchSize, mergeSize }: QwenVisionConfig,
): Place[] {
  const side = Math.floor(windowSize / patchSize / mergeSize);
  const across = Math.ceil(columns / side);
  const tokens = Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return { row, column, window: Math.floor(row / side) * across + Math.floor(column / side) };
  });
  return tokens.toSorted((a, b) => a.window - b.window);
}

/** Patches in window order, the four of a token together. */
function patchPlaces(grid: TokenGrid, config: QwenVisionConfig): Place[] {
  const { mergeSize } = config;
  return windowedTokens(grid, config).flatMap(({ row, column, window }) =>
    Array.from({ length: mergeSize ** 2 }, (_, index) => ({
      row: row * mergeSize + Math.floor(index / mergeSize),
      column: column * mergeSize + (index % mergeSize),
      window,
    })),
  );
}

// Python's round.
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}
