// What an application gets back from a run that draws: the engine's plain data, with pictures that know
// how they were made.
import type {
  ImageEvent,
  ImageTimings,
  PreviewEvent,
  RunEvent,
  StepEvent,
  TextUsage,
} from "../base/events.ts";
import type { GeneratedImage } from "../pixels/image-output.ts";

/** What `generateImage` and `editImage` report on the way. */
export type DrawEvent = StepEvent | PreviewEvent | ImageEvent;

/** What `generateImage` and `editImage` resolve to. */
export interface DrawOutput {
  /** The pictures, `count` of them. */
  readonly images: readonly GeneratedImage[];
  /** The seed that made them; the same seed makes them again. */
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  /** Final latents of all pictures, in `latentShape`. */
  readonly latents: Float32Array<ArrayBuffer>;
  /** [count, channels, height, width] */
  readonly latentShape: readonly number[];
  readonly timings: ImageTimings;
}

/** What `converse` reports on the way. */
export type ConverseEvent = RunEvent;

/** What `converse` resolves to: the answer's parts in order. */
export interface ConverseOutput {
  readonly parts: readonly (
    | { readonly type: "text"; readonly text: string }
    | { readonly type: "image"; readonly image: GeneratedImage }
  )[];
  readonly usage: TextUsage;
}
