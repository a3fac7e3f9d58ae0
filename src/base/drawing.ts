// A picture on its way, whatever draws it: a solver's steps over latents or image tokens one by one. Families
// build drawings (flow/flow-drawing.ts, tokens/code-drawing.ts), tasks run them.
import type { Pixels } from "./pixels.ts";

/** One step that the device has finished. */
export interface DrawingStep {
  /** 1..steps */
  readonly step: number;
  /** True when nothing beyond this step is under way: `decode` shows exactly this step. */
  readonly isSettled: boolean;
}

/** How one picture is drawn. */
export interface DrawingOptions {
  /** Let nothing run ahead after every this many steps, so that the picture may be looked at; 0 = never. */
  readonly settleEvery: number;
  readonly signal?: AbortSignal | undefined;
}

/** Pictures that wait to be drawn, their prompt already on the device. */
export interface Drawing {
  /** Steps of one picture. */
  readonly steps: number;
  /** As asked for, or the family's own. */
  readonly guidance: number;
  /** Shape of one picture's latents: [channels, height, width], or [height, width] of discrete codes. */
  readonly latentShape: readonly number[];
  /**
   * Draws picture number `image` from its beginning. At most two steps are in flight.
   *
   * @throws the signal's reason, at most one step after it fires; ModelError device-lost
   */
  draw(image: number, options: DrawingOptions): AsyncGenerator<DrawingStep, void, undefined>;
  /** The picture as it stands. Reads back once. */
  decode(): Promise<Pixels>;
  /** The latents (codes as numbers) as they stand. Reads back once. */
  readLatents(): Promise<Float32Array<ArrayBuffer>>;
  /** Frees what this drawing alone holds. */
  dispose(): void;
}
