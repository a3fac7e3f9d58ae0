// What is reported while a call runs, and what it returns. Plain data that crosses the worker boundary.
import type { Pixels } from "./pixels.ts";

/** Time left and done of a long call; absent while it cannot be known. */
export interface Pace {
  readonly elapsedSeconds: number;
  readonly secondsLeft?: number;
}

/** A piece of answer text. Concatenated deltas are the whole text. */
export interface TextDeltaEvent extends Pace {
  readonly type: "text-delta";
  readonly text: string;
  /** Tokens produced so far. */
  readonly tokens: number;
}

/** One solver step (or one image token) is done on the GPU. */
export interface StepEvent extends Pace {
  readonly type: "step";
  /** Which picture of `count`, from 0. */
  readonly image: number;
  /** Steps done of this picture, 1..count. */
  readonly step: number;
  readonly steps: number;
}

/** The picture as it would look now; only when previews were asked for. */
export interface PreviewEvent {
  readonly type: "preview";
  readonly image: number;
  readonly step: number;
  readonly pixels: Pixels;
}

/** A finished picture. */
export interface ImageEvent {
  readonly type: "image";
  readonly image: number;
  readonly pixels: Pixels;
}

/** Everything a run may report. */
export type RunEvent = TextDeltaEvent | StepEvent | PreviewEvent | ImageEvent;

/** Why a text ended: the model said so, or maxTokens was reached. */
export type FinishReason = "stop" | "length";

/** Token counts of a text call. */
export interface TextUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

/** What generateText resolves to. */
export interface TextResult {
  readonly text: string;
  readonly finishReason: FinishReason;
  readonly usage: TextUsage;
}

/** Where the time of a drawn picture went, in seconds. */
export interface ImageTimings {
  readonly promptSeconds: number;
  readonly stepsSeconds: number;
  readonly decodeSeconds: number;
}

/** What generateImage and editImage resolve to inside the engine. */
export interface DrawResult {
  readonly pictures: readonly Pixels[];
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  /** Final latents of all pictures, [count, channels, height, width]. */
  readonly latents: Float32Array<ArrayBuffer>;
  readonly latentShape: readonly number[];
  readonly timings: ImageTimings;
}

/** One answer of a conversation: its parts in order. */
export interface ConverseResult {
  readonly parts: readonly (
    | { readonly type: "text"; readonly text: string }
    | {
        readonly type: "image";
        readonly pixels: Pixels;
        readonly steps: number;
        readonly guidance: number;
      }
  )[];
  readonly usage: TextUsage;
}

/** Result of any task. */
export type TaskResult = TextResult | DrawResult | ConverseResult;

/**
 * What is happening while a model loads. "wait": another tab is storing it. "recover": the GPU or its worker was
 * lost, and the model is about to come back; then the phases from "read" on happen again.
 */
export type LoadPhase =
  | "resolve"
  | "wait"
  | "download"
  | "store"
  | "read"
  | "upload"
  | "compile"
  | "ready"
  | "recover";

/** Progress of a load. Bytes are those of the phase's own source: the network, or the store. */
export interface LoadProgress {
  readonly phase: LoadPhase;
  /** File or stage that is being worked on; why, for "recover". */
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  readonly secondsLeft?: number;
}
