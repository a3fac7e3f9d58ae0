// What a request may ask of a model's context and of its pictures, and how it is told that it asks too much.
import type { DrawDefaults, DrawRequest } from "./family.ts";

/** A conversation, and the answer that is to follow it. */
export interface AnswerLimits {
  /** Slots of the conversation. */
  readonly length: number;
  readonly maxTokens: number;
  readonly maxPositions: number;
  /** Slots that are kept free behind the answer; default 0. */
  readonly spare?: number;
}

/** Tokens that an answer may have, at least 1. @throws RangeError when the conversation alone fills the context */
export function answerRoom({ length, maxTokens, maxPositions, spare = 0 }: AnswerLimits): number {
  const room = Math.min(maxTokens, maxPositions - length - spare);
  if (room >= 1) return room;
  throw new RangeError(
    `The conversation takes ${length} tokens, the model's context has ${maxPositions}: ` +
      "send fewer messages or pictures.",
  );
}

/** A drawing's prompt, and the slots of its picture. */
export interface DrawingLimits {
  readonly prompt: number;
  readonly picture: number;
  readonly maxPositions: number;
  /** What helps beside a shorter prompt. */
  readonly advice?: string;
}

/** @throws RangeError when a prompt and the picture behind it do not fit into the context */
export function checkDrawingRoom({ prompt, picture, maxPositions, advice }: DrawingLimits): void {
  if (prompt + picture <= maxPositions) return;
  const more = advice === undefined ? "" : ` or ${advice}`;
  throw new RangeError(
    `The prompt takes ${prompt} tokens; with the picture's ${picture} slots the model's context of ` +
      `${maxPositions} is too short. Shorten the prompt${more}.`,
  );
}

/** @throws RangeError for another size than the only one of a model */
export function checkOnlySize(
  { width, height }: Pick<DrawRequest, "width" | "height">,
  own: Pick<DrawDefaults, "width" | "height">,
): void {
  if (width === own.width && height === own.height) return;
  throw new RangeError(
    `This model draws ${own.width} x ${own.height} pixels only, got ${width} x ${height}.`,
  );
}

/** @throws RangeError for another number of steps than a picture has codes */
export function checkCodeSteps(steps: number, codes: number): void {
  if (steps === codes) return;
  throw new RangeError(`This model draws a picture in ${codes} tokens, steps cannot be ${steps}.`);
}

/** @throws RangeError for what a model that draws codes of one size cannot do */
export function checkCodeDrawing(request: DrawRequest, own: DrawDefaults): void {
  checkOnlySize(request, own);
  checkCodeSteps(request.steps, own.steps);
  if (request.latents !== undefined) {
    throw new RangeError("This model draws codes, not from noise: it takes no latents.");
  }
}
