// A picture that a model made, as an application gets it: pixels, and a file that says how it was made.
import { importPart } from "../base/import-part.ts";
import type { Pixels } from "../base/pixels.ts";

/** How a picture was made: enough to make it again. */
export interface ImageOrigin {
  readonly prompt: string;
  readonly negativePrompt?: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  /** What the model was loaded from, with its revision. */
  readonly model: string;
  /** Versions by package, as { "web-umm": "0.1.0" }. */
  readonly versions: Readonly<Record<string, string>>;
  /** Which picture of `count`, from 0. */
  readonly image?: number;
}

/** A picture that a model made. */
export class GeneratedImage {
  /** Pixels, sRGB; shared with nobody, so a page may change them. */
  readonly imageData: ImageData;
  /** How the picture was made; also inside the file of {@link GeneratedImage.toBlob}. */
  readonly origin: ImageOrigin;

  /** Takes over the pixels' buffer. */
  constructor({ data, width, height }: Pixels, origin: ImageOrigin) {
    this.imageData = new ImageData(data, width, height);
    this.origin = origin;
  }

  /** Pixels. */
  get width(): number {
    return this.imageData.width;
  }

  /** Pixels. */
  get height(): number {
    return this.imageData.height;
  }

  /**
   * A PNG file of exactly these pixels. Its iTXt chunks hold prompt, negative_prompt, seed, steps, guidance,
   * model, image and Software.
   */
  async toBlob(): Promise<Blob> {
    // Fetched at the first file: pages that only show pictures do without.
    const { encodePng } = await importPart("PNG encoder", () => import("./encode-png.ts"));
    const bytes = await encodePng(this.imageData, pngTexts(this.origin));
    return new Blob([bytes], { type: "image/png" });
  }

  /** A bitmap to draw; close it when it is no longer shown. */
  toBitmap(): Promise<ImageBitmap> {
    return createImageBitmap(this.imageData, {
      premultiplyAlpha: "none",
      colorSpaceConversion: "none",
    });
  }
}

function pngTexts(origin: ImageOrigin): Record<string, string> {
  const { prompt, negativePrompt, seed, steps, guidance, model, versions, image } = origin;
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return {
    prompt,
    ...(negativePrompt === undefined ? {} : { negative_prompt: negativePrompt }),
    seed: String(seed),
    steps: String(steps),
    guidance: String(guidance),
    model,
    ...(image === undefined ? {} : { image: String(image) }),
    Software: software.join(", "),
  };
}
