// A prompt as a core reads it: ids and pictures in order. What chat templates have in common; the templates are
// the families' own.
import type { Pixels } from "../base/pixels.ts";
import type { Message } from "../base/requests.ts";
import type { Tokenizer } from "../tokens/tokenizer.ts";

/** What the core reads, in order: ids, or what stands for a picture. */
export type PromptPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly pixels: Pixels };

/** Slots that a prompt takes in the core. @param pictureSlots - of one picture */
export function promptLength(parts: readonly PromptPart[], pictureSlots: number): number {
  return parts.reduce(
    (sum, part) => sum + (part.kind === "ids" ? part.ids.length : pictureSlots),
    0,
  );
}

/** @throws TypeError when the last message is not a user's */
export function checkIsAsked(messages: readonly Message[]): void {
  if (messages.at(-1)?.role !== "user") {
    throw new TypeError("The last message must have role 'user': it is what the model answers.");
  }
}

/** @throws TypeError when the last message is not a user's, or a system message does not come first */
export function checkTurns(messages: readonly Message[]): void {
  checkIsAsked(messages);
  if (messages.slice(1).some(({ role }) => role === "system")) {
    throw new TypeError("Only the first message may have role 'system'.");
  }
}

/** The text of a system message. @throws TypeError when it holds a picture */
export function systemText({ content }: Message): string {
  const texts = content.map((part) => {
    if (part.type === "image") throw new TypeError("A system message cannot hold pictures.");
    return part.text;
  });
  return texts.join("");
}

/** Texts and pictures without the white space around the whole, where a picture is not blank. */
export function trimmed(content: readonly (string | Pixels)[]): (string | Pixels)[] {
  const parts = [...content];
  while (isBlank(parts[0])) parts.shift();
  while (isBlank(parts.at(-1))) parts.pop();
  const first = parts[0];
  if (typeof first === "string") parts[0] = first.trimStart();
  const last = parts.at(-1);
  if (typeof last === "string") parts[parts.length - 1] = last.trimEnd();
  return parts;
}

function isBlank(part: string | Pixels | undefined): boolean {
  return typeof part === "string" && part.trim() === "";
}

/** Collects text until a token or a picture interrupts it: tokenizers work between special tokens. */
export class PromptWriter {
  readonly #tokenizer: Tokenizer;
  readonly #marks: { readonly start?: number | undefined; readonly end: number };
  readonly #parts: PromptPart[] = [];
  #ids: number[];
  #text = "";

  /**
   * @param marks - ids around a picture; without `start` its slots begin with one of their own
   * @param first - ids that begin the prompt
   */
  constructor(
    tokenizer: Tokenizer,
    marks: { readonly start?: number | undefined; readonly end: number },
    first: readonly number[] = [],
  ) {
    this.#tokenizer = tokenizer;
    this.#marks = marks;
    this.#ids = [...first];
  }

  text(text: string): void {
    this.#text += text;
  }

  token(id: number): void {
    this.#flushText();
    this.#ids.push(id);
  }

  picture(pixels: Pixels): void {
    const { start, end } = this.#marks;
    this.#flushText();
    if (start !== undefined) this.#ids.push(start);
    this.#parts.push({ kind: "ids", ids: this.#ids }, { kind: "picture", pixels });
    this.#ids = [end];
  }

  content(parts: readonly (string | Pixels)[]): void {
    for (const part of parts) {
      if (typeof part === "string") this.text(part);
      else this.picture(part);
    }
  }

  finish(): PromptPart[] {
    this.#flushText();
    return [...this.#parts, { kind: "ids", ids: this.#ids }];
  }

  #flushText(): void {
    if (this.#text !== "") this.#ids.push(...this.#tokenizer.encodeText(this.#text));
    this.#text = "";
  }
}
