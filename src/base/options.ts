// What a caller may pass to a loaded model: the public option types, before they are checked.
// base/check-options.ts turns them into the request types of base/requests.ts.
import type { Role } from "./requests.ts";

/**
 * A picture that is handed to the library: anything a page may hold, or the address of a PNG, JPEG,
 * WebP, GIF, BMP or AVIF file (an http(s), blob or data URL). Of an animation the first frame is
 * taken. SVG is refused. At most 64 megapixels and 50 MB.
 */
export type ImageInput =
  | Blob
  | File
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | VideoFrame
  | URL
  | string;

/** One piece of a message. */
export type ContentPartInput =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: ImageInput };

/** One turn of a conversation: a plain text, or texts and pictures in order. */
export interface MessageInput {
  readonly role: Role;
  readonly content: string | readonly ContentPartInput[];
}

/** How the next token is chosen. */
export interface SamplingOptions {
  /** Upper bound of new tokens, at least 1. Default 512. */
  readonly maxTokens?: number;
  /** 0 (default) is greedy and deterministic; 1 samples the model's own distribution. */
  readonly temperature?: number;
  /** Sample from the k most likely tokens only; 0 (default) = all of them. */
  readonly topK?: number;
  /** Sample from the smallest set of tokens with this total probability, in (0, 1]; default 1 = all. */
  readonly topP?: number;
  /** Same seed, same answer. An integer from -(2^53 - 1) to 2^53 - 1; default: a random one. */
  readonly seed?: number;
}

/** Options of `model.generateText`. */
export interface GenerateTextOptions extends SamplingOptions {
  /** The conversation so far, oldest first; the model continues it. */
  readonly messages: readonly MessageInput[];
  /** Ends the call within one token; the run then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of `model.generateImage`. What is absent is the default of the family's reference. */
export interface GenerateImageOptions {
  /** What to draw. */
  readonly prompt: string;
  /** What to stay away from, where the family knows such a thing. */
  readonly negativePrompt?: string;
  /** Pixels, 1..8192. Default: the family's own size; many families have only one. */
  readonly width?: number;
  /** Pixels, 1..8192. Default: the family's own size; many families have only one. */
  readonly height?: number;
  /** Solver steps, 1..1000. Default: the family's. */
  readonly steps?: number;
  /** Classifier-free guidance weight, 0..100; 1 = none. Default: the family's. */
  readonly guidance?: number;
  /**
   * Seed of the first noise, torch's: `torch.Generator("cpu").manual_seed(seed)`. An integer from
   * -(2^53 - 1) to 2^53 - 1; default: a random one, which the result tells.
   */
  readonly seed?: number;
  /** Pictures to draw, 1..64; each takes the next numbers of the same generator. Default 1. */
  readonly count?: number;
  /** First noise in the reference's layout, [count, channels, height, width]; replaces the seed's noise. */
  readonly latents?: Float32Array;
  /** A preview event every this many steps; 0 (default) = none. Each preview costs one decode. */
  readonly previewEvery?: number;
  /** Ends the call within one step; the run then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of `model.editImage`: those of `generateImage` and what to start from. */
export interface EditImageOptions extends GenerateImageOptions {
  /** What to edit, in the order in which the prompt speaks of them; 1..16. */
  readonly images: readonly ImageInput[];
  /** How strongly to hold on to the pictures, 0..100. Default: the family's. */
  readonly imageGuidance?: number;
}

/** Options of `model.converse`: an answer of texts and pictures. */
export interface ConverseOptions extends SamplingOptions {
  /** The conversation so far, oldest first; the model continues it. */
  readonly messages: readonly MessageInput[];
  /** Solver steps of a drawn picture, 1..1000. Default: the family's. */
  readonly steps?: number;
  /** Classifier-free guidance weight of a drawn picture, 0..100; 1 = none. Default: the family's. */
  readonly guidance?: number;
  /** A preview event every this many steps; 0 (default) = none. */
  readonly previewEvery?: number;
  /** Ends the call; the run then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}
