// A decoded picture: the only form in which images cross between layers and threads.

/** Row-major RGBA bytes, 4 per pixel, not premultiplied, sRGB. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}
