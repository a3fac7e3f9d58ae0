// Which of the accepted kinds of picture a value is. By its class tag, not by instanceof, so that values of
// another frame count and that no DOM class has to exist.

/** The kinds of {@link ImageInput}; a File is a Blob here. */
export type ImageInputKind =
  | "Blob"
  | "HTMLCanvasElement"
  | "HTMLImageElement"
  | "ImageBitmap"
  | "ImageData"
  | "OffscreenCanvas"
  | "URL"
  | "VideoFrame"
  | "string";

const KIND_OF_TAG: Readonly<Record<string, ImageInputKind>> = {
  Blob: "Blob",
  File: "Blob",
  HTMLCanvasElement: "HTMLCanvasElement",
  HTMLImageElement: "HTMLImageElement",
  ImageBitmap: "ImageBitmap",
  ImageData: "ImageData",
  OffscreenCanvas: "OffscreenCanvas",
  URL: "URL",
  VideoFrame: "VideoFrame",
};

/** The kind of a picture that a caller hands in; undefined when the value is none. */
export function imageInputKind(value: unknown): ImageInputKind | undefined {
  if (typeof value === "string") return "string";
  if (typeof value !== "object" || value === null) return undefined;
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
  return Object.hasOwn(KIND_OF_TAG, tag) ? KIND_OF_TAG[tag] : undefined;
}
