// What Chameleon reads: begin of sentence, then texts and pictures as they come, an end of turn behind every
// turn. There is no chat template beyond that.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L143-L177
import type { Pixels } from "../../base/pixels.ts";
import type { ContentPart, Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { checkTurns, systemText, type PromptPart } from "../prompt-parts.ts";
import type { ChameleonVocabulary } from "./vocabulary.ts";

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

function conversation(
  messages: readonly Message[],
  { tokenizer, vocabulary }: ChameleonTokens,
  end: readonly number[],
): PromptPart[] {
  checkTurns(messages);
  const parts: PromptPart[] = [{ kind: "ids", ids: [vocabulary.bos] }];
  for (const [index, message] of messages.entries()) {
    if (message.role === "system") {
      // Ours: the reference knows no system message; its text comes first in the user's turn.
      parts.push({ kind: "ids", ids: tokenizer.encodeText(systemText(message)) });
      continue;
    }
    for (const part of message.content) parts.push(promptPart(part, tokenizer));
    const isLast = index === messages.length - 1;
    parts.push({ kind: "ids", ids: isLast ? end : [vocabulary.eot] });
  }
  return parts;
}

function promptPart(part: ContentPart, tokenizer: Tokenizer): PromptPart {
  if (part.type === "image") return { kind: "picture", pixels: part.image };
  return { kind: "ids", ids: tokenizer.encodeText(part.text) };
}
