// LLaMA-3's chat template and where pictures go in it. Text in, token ids and picture slots out. Without the
// lines that tell LLaMA-3.1 today's date.
// https://github.com/meta-llama/llama3/blob/main/llama/tokenizer.py (ChatFormat)
import type { Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { checkTurns, PromptWriter, trimmed, type PromptPart } from "../prompt-parts.ts";
import type { ImageTags } from "./config.ts";

/** Ids that the template needs, looked up in the checkpoint's own tokenizer. */
export interface PiscesTokens {
  readonly tokenizer: Tokenizer;
  readonly bos: number;
  readonly headerStart: number;
  readonly headerEnd: number;
  readonly turnEnd: number;
  readonly imageStart: number;
  readonly imageEnd: number;
  /** Ids that end an answer. */
  readonly stopIds: ReadonlySet<number>;
}

const TURN_END = "<|eot_id|>";
// LLaMA-3.1's generation_config.json names three.
const STOPS = ["<|end_of_text|>", "<|eom_id|>", TURN_END];

/**
 * Looks the special tokens up by string.
 *
 * @throws ModelError checkpoint-invalid when the tokenizer lacks one
 */
export function findTokens(tokenizer: Tokenizer, tags: ImageTags): PiscesTokens {
  return {
    tokenizer,
    bos: tokenizer.requireId("<|begin_of_text|>"),
    headerStart: tokenizer.requireId("<|start_header_id|>"),
    headerEnd: tokenizer.requireId("<|end_header_id|>"),
    turnEnd: tokenizer.requireId(TURN_END),
    imageStart: tokenizer.requireId(tags.start),
    imageEnd: tokenizer.requireId(tags.end),
    stopIds: new Set(STOPS.flatMap((token) => tokenizer.idOf(token) ?? [])),
  };
}

/**
 * The prompt of an understanding request: every turn, and the header of the assistant's.
 *
 * @throws TypeError when the last message is not a user's, or a system message does not come first
 */
export function understandingPrompt(
  messages: readonly Message[],
  tokens: PiscesTokens,
): PromptPart[] {
  checkTurns(messages);
  const { tokenizer, bos, imageStart, imageEnd, turnEnd } = tokens;
  const prompt = new PromptWriter(tokenizer, { start: imageStart, end: imageEnd }, [bos]);
  for (const { role, content } of messages) {
    writeHeader(prompt, role, tokens);
    // The template's `content | trim`.
    prompt.content(trimmed(content.map((part) => (part.type === "text" ? part.text : part.image))));
    prompt.token(turnEnd);
  }
  writeHeader(prompt, "assistant", tokens);
  return prompt.finish();
}

/** The prompt of a drawing: the caption as a user's message; image start, behind which the vectors come, is last. */
export function drawingPrompt(caption: string, tokens: PiscesTokens): number[] {
  const content = [{ type: "text", text: caption } as const];
  const parts = understandingPrompt([{ role: "user", content }], tokens);
  return [...parts.flatMap((part) => (part.kind === "ids" ? part.ids : [])), tokens.imageStart];
}

function writeHeader(
  prompt: PromptWriter,
  role: Message["role"],
  { headerStart, headerEnd }: PiscesTokens,
): void {
  prompt.token(headerStart);
  prompt.text(role);
  prompt.token(headerEnd);
  prompt.text("\n\n");
}
