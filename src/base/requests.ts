// What may be asked of a model, in the form that crosses to the engine worker: pictures are decoded,
// defaults of the library are filled in, defaults of the family are still absent.
import type { Pixels } from "./pixels.ts";

/** Who speaks in a message. */
export type Role = "system" | "user" | "assistant";

/** One piece of a message. */
export type ContentPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: Pixels };

/** One turn of a conversation, its content always as parts. */
export interface Message {
  readonly role: Role;
  readonly content: readonly ContentPart[];
}

/** How a text is continued. */
export interface TextRequest {
  readonly messages: readonly Message[];
  /** Upper bound of new tokens. */
  readonly maxTokens: number;
  /** 0 = greedy and deterministic. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 = all. */
  readonly topK: number;
  /** Keep the smallest set of tokens with this probability; 1 = all. */
  readonly topP: number;
  readonly seed: number;
}

/** What a picture is drawn from. Absent numbers are the family's defaults, those of its reference. */
export interface ImageRequest {
  readonly prompt: string;
  readonly negativePrompt?: string;
  /** Pixels. */
  readonly width?: number;
  readonly height?: number;
  /** Velocity evaluations. */
  readonly steps?: number;
  /** Classifier-free guidance weight: 1 = none. */
  readonly guidance?: number;
  /** Seed of torch's CPU generator. Image number n of `count` takes the next numbers of the same generator. */
  readonly seed: number;
  /** Pictures to draw. */
  readonly count: number;
  /** First noise in the reference's layout, [count, channels, height, width]; replaces the seed's noise. */
  readonly latents?: Float32Array<ArrayBuffer>;
  /** A preview every this many steps; 0 = none. */
  readonly previewEvery: number;
}

/** What an edited picture is made from. */
export interface EditRequest extends ImageRequest {
  readonly images: readonly Pixels[];
  readonly imageGuidance?: number;
}

/** A conversation that may answer with text and pictures. */
export interface ConverseRequest extends TextRequest {
  readonly steps?: number;
  readonly guidance?: number;
  readonly previewEvery: number;
}

/** One call, as the engine worker receives it. */
export type TaskRequest =
  | { readonly task: "generateText"; readonly request: TextRequest }
  | { readonly task: "generateImage"; readonly request: ImageRequest }
  | { readonly task: "editImage"; readonly request: EditRequest }
  | { readonly task: "converse"; readonly request: ConverseRequest };

/** Names of the four tasks, also the keys of `model.capabilities`. */
export type TaskName = TaskRequest["task"];

/** Which tasks a family can do. */
export type Capabilities = Readonly<Record<TaskName, boolean>>;
