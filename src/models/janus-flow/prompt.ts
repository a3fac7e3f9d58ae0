// JanusFlow's tokens in DeepSeek's chat template.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/processing_vlm.py#L176-L380
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { SENTENCE_TOKENS, type ChatTokens } from "../deepseek-prompt.ts";
import type { ImageTags } from "./config.ts";

export {
  drawingPrompt,
  understandingPrompt,
  type ChatTokens as JanusTokens,
} from "../deepseek-prompt.ts";

/**
 * Looks the special tokens up by string; image tags that the file lacks are appended at the end of the
 * vocabulary in the reference's order (their embeddings are overwritten or never read). A picture brings its own
 * first embedding. Of a drawing's prompt nothing is added: the generation tag that the reference appends is
 * dropped by it again, its slot is the timestep embedding's.
 *
 * @throws ModelError checkpoint-invalid when the tokenizer has no begin or end of sentence
 */
export function findTokens(tokenizer: Tokenizer, tags: ImageTags): ChatTokens {
  const complete = tokenizer.withAddedTokens([tags.image, tags.generation, tags.start, tags.end]);
  return {
    tokenizer: complete,
    bos: complete.requireId(SENTENCE_TOKENS.bos),
    eos: complete.requireId(SENTENCE_TOKENS.eos),
    roles: { user: "User", assistant: "Assistant" },
    imageEnd: complete.requireId(tags.end),
  };
}
