// Pictures on canvases.

/** RGBA bytes with a size; an ImageData is one. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** Pictures up to this width are shown enlarged: their pixels stay sharp squares. */
const SMALL_WIDTH = 128;

/** Shows a picture, in its own number of pixels. */
export function paint(canvas: HTMLCanvasElement, { width, height, data }: Picture): void {
  resize(canvas, width, height);
  canvas.getContext("2d")?.putImageData(new ImageData(data, width, height), 0, 0);
}

/** Shows a bitmap, in its own number of pixels. */
export function paintBitmap(canvas: HTMLCanvasElement, bitmap: ImageBitmap): void {
  resize(canvas, bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
}

function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  canvas.classList.toggle("small", width <= SMALL_WIDTH);
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
}
