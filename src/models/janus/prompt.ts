// Janus's tokens in DeepSeek's chat template, and the two prompts of a drawing.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/processing_vlm.py
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { drawingPrompt, SENTENCE_TOKENS, type ChatTokens } from "../deepseek-prompt.ts";
import type { ImageTags } from "./config.ts";

/** The template's tokens, with the ids that only Janus needs. */
export interface JanusTokens extends ChatTokens {
  readonly imageStart: number;
  readonly pad: number;
}

// Control tokens that Janus-Pro's tokenizer has; Janus-1.3B's roles are words.
const PRO_ROLES = { user: "<|User|>", assistant: "<|Assistant|>" };

/**
 * Looks the special tokens up by string: Janus-Pro-1B and -7B give them different ids. The placeholder, which
 * Janus-1.3B lacks, is appended as the reference's processor does; its embedding is never read.
 *
 * @throws ModelError checkpoint-invalid when the tokenizer lacks one of the others
 */
export function findTokens(tokenizer: Tokenizer, tags: ImageTags): JanusTokens {
  const complete = tokenizer.withAddedTokens([tags.image]);
  return {
    tokenizer: complete,
    bos: complete.requireId(SENTENCE_TOKENS.bos),
    eos: complete.requireId(SENTENCE_TOKENS.eos),
    roles: {
      user: complete.idOf(PRO_ROLES.user) ?? "User",
      assistant: complete.idOf(PRO_ROLES.assistant) ?? "Assistant",
    },
    imageStart: complete.requireId(tags.start),
    imageEnd: complete.requireId(tags.end),
    pad: complete.requireId(tags.pad),
  };
}

/** Ids of a drawing's prompt: BOS first, begin-of-image last. */
export function conditionalIds(prompt: string, tokens: JanusTokens): number[] {
  return [...drawingPrompt(prompt, tokens), tokens.imageStart];
}

/**
 * The prompt with everything between BOS and begin-of-image replaced by padding. The reference hides none of
 * it: the model was trained to read the padding.
 */
export function unconditionalIds(ids: readonly number[], { pad }: JanusTokens): number[] {
  return ids.map((id, index) => (index === 0 || index === ids.length - 1 ? id : pad));
}
