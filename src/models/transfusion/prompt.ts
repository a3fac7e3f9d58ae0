// Sequences as transfusion-pytorch trains on them: [sos], texts, and pictures between their marks. No roles,
// no template: what a conversation says is one text after the other.
import { fail } from "../../base/errors.ts";
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { checkIsAsked, type PromptPart } from "../prompt-parts.ts";
import type { TransfusionConfig } from "./config.ts";
import type { Grid } from "./latents.ts";

/** The model's own ids, which follow the tokenizer's. */
export interface TransfusionTokens {
  readonly tokenizer: Tokenizer;
  /** Begin and end of a sequence. */
  readonly sos: number;
  readonly eos: number;
  /** Stands for every text id where guidance wants none. */
  readonly null: number;
  /** Begin and end of a picture's slots. */
  readonly som: number;
  readonly eom: number;
  /** Before the picture's sizes as text, a character an id. */
  readonly meta: number;
}

// [sos] [eos] [null], [som] [eom] of one modality, [meta], 128 characters.
const SPECIAL_IDS = 3 + 2 + 1 + 128;

/** Ids of the embedding table and of the head. */
export function vocabularySize({ textTokens }: Pick<TransfusionConfig, "textTokens">): number {
  return textTokens + SPECIAL_IDS;
}

/** The ids of a model. @throws ModelError checkpoint-invalid when the tokenizer has ids that are the model's own */
export function numberTokens(tokenizer: Tokenizer, textTokens: number): TransfusionTokens {
  if (tokenizer.vocabularySize > textTokens) {
    throw fail(
      "checkpoint-invalid",
      `tokenizer.json has ${tokenizer.vocabularySize} tokens; num_text_tokens is ${textTokens}.`,
    );
  }
  const [sos, eos, none, som, eom, meta] = Array.from({ length: 6 }, (_, k) => textTokens + k);
  return {
    tokenizer,
    sos: sos ?? 0,
    eos: eos ?? 0,
    null: none ?? 0,
    som: som ?? 0,
    eom: eom ?? 0,
    meta: meta ?? 0,
  };
}

/**
 * A conversation as one sequence: every text and picture in order.
 *
 * @param grid - slots of one picture
 * @throws TypeError when the last message is not a user's
 */
export function conversationPrompt(
  messages: readonly Message[],
  tokens: TransfusionTokens,
  grid: Grid,
): PromptPart[] {
  checkIsAsked(messages);
  const prompt = new PromptWriter(tokens, grid);
  for (const part of messages.flatMap(({ content }) => content)) {
    if (part.type === "text") prompt.text(part.text);
    else prompt.picture(part.image);
  }
  return prompt.finish();
}

/**
 * The prompt of a drawing up to where its slots begin: the pictures that it starts from, the text, and the
 * marks that make the model draw.
 *
 * @param grids - slots of a given picture and of the one to draw
 */
export function drawingPrompt(
  text: string,
  images: readonly Pixels[],
  tokens: TransfusionTokens,
  grids: { readonly given: Grid; readonly drawn: Grid },
): PromptPart[] {
  const prompt = new PromptWriter(tokens, grids.given);
  for (const image of images) prompt.picture(image);
  prompt.text(text);
  prompt.begin(grids.drawn);
  return prompt.finish();
}

class PromptWriter {
  readonly #tokens: TransfusionTokens;
  readonly #grid: Grid;
  readonly #parts: PromptPart[] = [];
  #ids: number[];

  constructor(tokens: TransfusionTokens, grid: Grid) {
    this.#tokens = tokens;
    this.#grid = grid;
    this.#ids = [tokens.sos];
  }

  text(text: string): void {
    this.#ids.push(...this.#tokens.tokenizer.encodeText(text));
  }

  /** The marks before a picture: its slots' rows and columns, as training writes them. */
  begin(grid: Grid): void {
    const { meta, som } = this.#tokens;
    const letters = Array.from(grid.join(","), (letter) => meta + 1 + letter.charCodeAt(0));
    this.#ids.push(meta, ...letters, som);
  }

  picture(pixels: Pixels): void {
    this.begin(this.#grid);
    this.#flush();
    this.#parts.push({ kind: "picture", pixels });
    this.#ids.push(this.#tokens.eom);
  }

  finish(): PromptPart[] {
    this.#flush();
    return this.#parts;
  }

  #flush(): void {
    if (this.#ids.length > 0) this.#parts.push({ kind: "ids", ids: this.#ids });
    this.#ids = [];
  }
}
