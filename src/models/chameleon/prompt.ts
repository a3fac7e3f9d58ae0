// What Chameleon reads: begin of sentence, then texts and pictures as they come, an end of turn behind every
// turn. There is no chat template beyond that.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L143-L177
import type { Pixels } from "../../base/pixels.ts";
import type { ContentPart, Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import type { ChameleonVocabulary } from "./vocabulary.ts";

/** What the core reads, in order: ids, or a picture whose codes go between its marks. */
export type PromptPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly pixels: Pixels };

/** Text -> ids, and what the ids are for. */
export interface ChameleonTokens {
  readonly tokenizer: Tokenizer;
  readonly vocabulary: ChameleonVocabulary;
}

/** Marks that a picture has around its codes. */
export const PICTURE_MARKS = 2;

/**
 * A conversation that is to be answered with text: every turn ends with its mark, the last one too.
 *
 * @throws TypeError when the last message is not a user's, or a system message does not come first
 */
export function answerPrompt(messages: readonly Message[], tokens: ChameleonTokens): PromptPart[] {
  return conversation(messages, tokens, [tokens.vocabulary.eot]);
}

/**
 * A conversation whose answer may hold pictures. Anole's authors leave the last turn open.
 *
 * @throws TypeError as {@link answerPrompt}
 * @see https://github.com/GAIR-NLP/anole/blob/af563fa/interleaved_generation.py#L85-L100
 */
export function interleavedPrompt(
  messages: readonly Message[],
  tokens: ChameleonTokens,
): PromptPart[] {
  return conversation(messages, tokens, []);
}

/**
 * What one picture is drawn from: pictures, the text, an end of turn, the begin of a picture.
 *
 * @see https://github.com/GAIR-NLP/anole/blob/af563fa/text2image.py#L33-L43
 */
export function drawingPrompt(
  images: readonly Pixels[],
  prompt: string,
  { tokenizer, vocabulary }: ChameleonTokens,
): PromptPart[] {
  return [
    { kind: "ids", ids: [vocabulary.bos] },
    ...images.map((pixels) => ({ kind: "picture" as const, pixels })),
    { kind: "ids", ids: [...tokenizer.encodeText(prompt), vocabulary.eot, vocabulary.boi] },
  ];
}

/** Ids that a prompt takes in the core. @param codes - of one picture */
export function promptLength(parts: readonly PromptPart[], codes: number): number {
  return parts.reduce(
    (sum, part) => sum + (part.kind === "ids" ? part.ids.length : codes + PICTURE_MARKS),
    0,
  );
}

function conversation(
  messages: readonly Message[],
  { tokenizer, vocabulary }: ChameleonTokens,
  end: readonly number[],
): PromptPart[] {
  if (messages.at(-1)?.role !== "user") {
    throw new TypeError("The last message must have role 'user': it is what the model answers.");
  }
  const parts: PromptPart[] = [{ kind: "ids", ids: [vocabulary.bos] }];
  for (const [index, message] of messages.entries()) {
    checkRole(message, index);
    for (const part of message.content) parts.push(promptPart(part, tokenizer));
    // Ours: the reference knows no system message; its text comes first in the user's turn.
    if (message.role === "system") continue;
    const isLast = index === messages.length - 1;
    parts.push({ kind: "ids", ids: isLast ? end : [vocabulary.eot] });
  }
  return parts;
}

function checkRole({ role, content }: Message, index: number): void {
  if (role !== "system") return;
  if (index > 0) throw new TypeError("Only the first message may have role 'system'.");
  if (content.some(({ type }) => type === "image")) {
    throw new TypeError("A system message cannot hold pictures.");
  }
}

function promptPart(part: ContentPart, tokenizer: Tokenizer): PromptPart {
  if (part.type === "image") return { kind: "picture", pixels: part.image };
  return { kind: "ids", ids: tokenizer.encodeText(part.text) };
}
