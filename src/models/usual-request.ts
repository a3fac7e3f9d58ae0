// A request of the usual size: what a model's memory is planned for before it is downloaded. Sizes and steps are
// the family's defaults; only the length of a prompt is nobody's default.

/** Tokens of a prompt: a long sentence and the family's template around it. */
export const USUAL_PROMPT_TOKENS = 64;

/** Tokens of an answer: what `generateText` allows when nothing else is asked for. */
export const USUAL_ANSWER_TOKENS = 512;

/** Contexts of a drawing from text with guidance: the prompt, and what guidance leads away from. */
export const USUAL_ROWS = 2;

/** `count` rounded up to whole steps, as the loops are compiled. */
export function roundUp(count: number, step: number): number {
  return Math.ceil(count / step) * step;
}
