// Whatever a page holds as a picture -> RGBA bytes. Runs on the main thread or in a worker. Files are
// looked at before they are decoded: format, claimed size, byte count. Rotation by EXIF is applied, colour
// profiles are not (the references ignore them), the first frame of an animation counts.
import { imageInputKind } from "../base/image-input.ts";
import type { ImageInput } from "../base/options.ts";
import type { Pixels } from "../base/pixels.ts";
import { fetchImage } from "./fetch-image.ts";
import { isMarkup, readImageHeader } from "./image-header.ts";
import { readPixels } from "./read-pixels.ts";

/** Most pixels of a picture: 256 MB of RGBA. */
export const MAX_IMAGE_PIXELS = 64_000_000;
/** Longest side: that of the canvases through which browsers give pixels. No JPEG or WebP is longer. */
export const MAX_IMAGE_SIDE = 65_535;
/** Most bytes of a picture file. */
export const MAX_IMAGE_BYTES = 50_000_000;

/** How far decoding may go. */
export interface DecodeImageOptions {
  /** Default {@link MAX_IMAGE_PIXELS}. */
  readonly maxPixels?: number;
  /** Default {@link MAX_IMAGE_BYTES}. */
  readonly maxBytes?: number;
  /** Fetches addresses; default the global one. */
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
}

type Limits = Required<Omit<DecodeImageOptions, "signal">> & Pick<DecodeImageOptions, "signal">;

/** Of files: bytes as they are stored, turned upright. */
const AS_STORED: ImageBitmapOptions = {
  imageOrientation: "from-image",
  premultiplyAlpha: "none",
  colorSpaceConversion: "none",
};

/** Of what a page has drawn: in sRGB. */
const AS_SHOWN: ImageBitmapOptions = { premultiplyAlpha: "none" };

/**
 * The picture as RGBA, not premultiplied; the caller's object is neither changed nor closed.
 *
 * @throws TypeError for what is no picture: empty, damaged, closed, SVG, an unknown format, or an element
 *   of another origin that does not allow reading
 * @throws RangeError for more pixels or bytes than allowed
 * @throws ModelError download-failed when an address cannot be fetched
 */
export async function decodeImage(
  image: ImageInput,
  { signal, ...options }: DecodeImageOptions = {},
): Promise<Pixels> {
  const limits: Limits = {
    maxPixels: options.maxPixels ?? MAX_IMAGE_PIXELS,
    maxBytes: options.maxBytes ?? MAX_IMAGE_BYTES,
    fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
    ...(signal ? { signal } : {}),
  };
  signal?.throwIfAborted();
  const source = await toSource(image, limits);
  signal?.throwIfAborted();
  return isPlainData(source) ? copyOf(source) : readSource(source, limits.maxPixels);
}

/** Bytes that are 8-bit sRGB already; ImageData of other kinds goes through a bitmap. */
function isPlainData(source: ImageBitmapSource): source is ImageData {
  if (imageInputKind(source) !== "ImageData") return false;
  const { data, colorSpace } = source as ImageData;
  return data instanceof Uint8ClampedArray && colorSpace !== "display-p3";
}

function copyOf({ width, height, data }: ImageData): Pixels {
  return { width, height, data: new Uint8ClampedArray(data) };
}

async function readSource(source: ImageBitmapSource, maxPixels: number): Promise<Pixels> {
  const bitmap = await toBitmap(source);
  try {
    checkSize(bitmap, maxPixels);
    return readPixels(bitmap);
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    throw new TypeError(
      'The image cannot be read: it comes from another origin. Load it with crossorigin="anonymous" ' +
        "from a server that allows it, or pass its file.",
      { cause },
    );
  } finally {
    bitmap.close();
  }
}

/** Something that createImageBitmap takes, its kind and size known to be right. */
async function toSource(image: ImageInput, limits: Limits): Promise<ImageBitmapSource> {
  const kind = imageInputKind(image);
  switch (kind) {
    case "string":
    case "URL":
      return checkFile(await fetchImage(image as string | URL, limits), limits);
    case "Blob":
      return checkFile(image as Blob, limits);
    case "HTMLImageElement":
      return loaded(image as HTMLImageElement, limits.maxPixels);
    case "VideoFrame": {
      const { displayWidth, displayHeight } = image as VideoFrame;
      checkSize({ width: displayWidth, height: displayHeight }, limits.maxPixels);
      return image as VideoFrame;
    }
    case "ImageBitmap":
    case "ImageData":
    case "HTMLCanvasElement":
    case "OffscreenCanvas":
      checkSize(image as ImageBitmap, limits.maxPixels);
      return image as ImageBitmap;
    case undefined:
      throw new TypeError("The value is not an image.");
    default:
      return kind satisfies never;
  }
}

/** The file in memory, after a look at what it is and how large it says it is. */
async function checkFile(file: Blob, { maxBytes, maxPixels }: Limits): Promise<Blob> {
  if (file.size === 0) throw new TypeError("The image file is empty.");
  if (file.size > maxBytes) {
    throw new RangeError(`The image file has ${file.size} bytes, more than ${maxBytes}.`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const header = readImageHeader(bytes);
  if (header === undefined) {
    const isSvg = isMarkup(bytes) || file.type.startsWith("image/svg");
    throw new TypeError(
      isSvg
        ? "SVG images are not accepted. Draw it on a canvas and pass the canvas."
        : "The file is not a PNG, JPEG, WebP, GIF, BMP or AVIF image.",
    );
  }
  checkSize(header, maxPixels);
  // the format by its bytes: a browser may believe a wrong type instead
  return new Blob([bytes], { type: `image/${header.format}` });
}

function checkSize(size: { readonly width: number; readonly height: number }, max: number): void {
  const { width, height } = size;
  if (!(width > 0 && height > 0)) {
    throw new TypeError(
      `The image has no pixels (${width} x ${height}): empty, closed or cut off.`,
    );
  }
  if (width * height > max) {
    throw new RangeError(`The image has ${width} x ${height} pixels, more than ${max}.`);
  }
  if (Math.max(width, height) > MAX_IMAGE_SIDE) {
    throw new RangeError(
      `The image has ${width} x ${height} pixels; no side may be longer than ${MAX_IMAGE_SIDE}. Cut it.`,
    );
  }
}

async function loaded(image: HTMLImageElement, maxPixels: number): Promise<HTMLImageElement> {
  try {
    await image.decode();
  } catch (cause) {
    throw new TypeError("The image element has no picture: its file is missing or damaged.", {
      cause,
    });
  }
  checkSize({ width: image.naturalWidth, height: image.naturalHeight }, maxPixels);
  return image;
}

async function toBitmap(source: ImageBitmapSource): Promise<ImageBitmap> {
  try {
    const kind = imageInputKind(source);
    const isFile = kind === "Blob" || kind === "HTMLImageElement";
    return await createImageBitmap(source, isFile ? AS_STORED : AS_SHOWN);
  } catch (cause) {
    throw new TypeError(
      "The image cannot be decoded: it is damaged, or this browser cannot read it.",
      {
        cause,
      },
    );
  }
}
