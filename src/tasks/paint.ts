// One picture of a drawing, step by step: what every task that draws has in common.
import type { Drawing } from "../base/drawing.ts";
import type { ImageEvent, Pace, PreviewEvent, StepEvent } from "../base/events.ts";
import type { Pixels } from "../base/pixels.ts";
import { startPace } from "./pace.ts";

/** Which picture, and what is told on the way. */
export interface PaintOptions {
  readonly image: number;
  /** A preview every this many steps; 0 = none. */
  readonly previewEvery: number;
  /** Time of the whole call after this many steps of this picture. */
  readonly paceAt: (step: number) => Pace;
  readonly signal?: AbortSignal | undefined;
}

/** A finished picture. */
export interface Painted {
  readonly pixels: Pixels;
  readonly latents: Float32Array<ArrayBuffer>;
  /** Of reading the latents and decoding them. */
  readonly decodeSeconds: number;
}

/**
 * Draws one picture and tells its steps, previews and the picture itself.
 *
 * @throws ModelError numerics when its latents are not finite numbers; the signal's reason
 */
export async function* paint(
  drawing: Drawing,
  { image, previewEvery, paceAt, signal }: PaintOptions,
): AsyncGenerator<StepEvent | PreviewEvent | ImageEvent, Painted, undefined> {
  const { steps } = drawing;
  for await (const { step, isSettled } of drawing.draw(image, {
    settleEvery: previewEvery,
    signal,
  })) {
    yield { type: "step", image, step, steps, ...paceAt(step) };
    const wantsPreview = previewEvery > 0 && step % previewEvery === 0;
    if (wantsPreview && isSettled && step < steps) {
      yield { type: "preview", image, step, pixels: await drawing.decode() };
    }
  }
  const decoding = startPace();
  // Latents first: a loop gone wrong is noticed here, before it becomes a grey picture.
  const latents = await drawing.readLatents();
  const pixels = await drawing.decode();
  const decodeSeconds = decoding.at(0).elapsedSeconds;
  yield { type: "image", image, pixels };
  return { pixels, latents, decodeSeconds };
}
