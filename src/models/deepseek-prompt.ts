// DeepSeek's chat template and where pictures go in it, for Janus and JanusFlow. Text in, token ids and picture
// slots out; the template is the reference's own code written again, never a template of the repository.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/processing_vlm.py#L118-L316
import type { Pixels } from "../base/pixels.ts";
import type { Message } from "../base/requests.ts";
import type { Tokenizer } from "../tokens/tokenizer.ts";
import { checkTurns, PromptWriter, systemText, trimmed, type PromptPart } from "./prompt-parts.ts";

/** Ids and strings that the template needs, looked up in the checkpoint's own tokenizer. */
export interface ChatTokens {
  readonly tokenizer: Tokenizer;
  readonly bos: number;
  readonly eos: number;
  /** Names of the roles: ordinary text, or the id of a control token. */
  readonly roles: Readonly<Record<"user" | "assistant", string | number>>;
  /** Put before a picture's embeddings; absent where those begin with one of their own. */
  readonly imageStart?: number;
  readonly imageEnd: number;
}

/** Strings of the tokenizer that begin and end every prompt. */
export const SENTENCE_TOKENS = { bos: "<｜begin▁of▁sentence｜>", eos: "<｜end▁of▁sentence｜>" };

const SYSTEM_PROMPT =
  "You are a helpful language and vision assistant. " +
  "You are able to understand the visual content that the user provides, " +
  "and assist the user with a variety of tasks using natural language.";

/**
 * The prompt of an understanding request: BOS, the system prompt, every turn, and the assistant's role.
 *
 * A picture stands for `<image_placeholder>` where it occurs in a message; text that a user typed never
 * becomes a special token.
 *
 * @throws TypeError when the last message is not a user's, or a system message does not come first
 */
export function understandingPrompt(
  messages: readonly Message[],
  tokens: ChatTokens,
): PromptPart[] {
  checkTurns(messages);
  const prompt = beginPrompt(tokens);
  const [first, ...rest] = messages;
  const hasSystem = first?.role === "system";
  const systemPrompt = hasSystem ? systemText(first).trim() : SYSTEM_PROMPT;
  if (systemPrompt !== "") prompt.text(`${systemPrompt}\n\n`);
  for (const message of hasSystem ? rest : messages) writeTurn(prompt, message, tokens);
  writeRole(prompt, "assistant", tokens);
  prompt.text(":");
  return prompt.finish();
}

/**
 * The prompt of a drawing: BOS, the user's turn without a system prompt, the assistant's role; the family adds
 * what begins a picture.
 */
export function drawingPrompt(prompt: string, tokens: ChatTokens): number[] {
  const writer = beginPrompt(tokens);
  writeTurn(writer, { role: "user", content: [{ type: "text", text: prompt }] }, tokens);
  writeRole(writer, "assistant", tokens);
  writer.text(":");
  return writer.finish().flatMap((part) => (part.kind === "ids" ? part.ids : []));
}

function beginPrompt({ tokenizer, bos, imageStart, imageEnd }: ChatTokens): PromptWriter {
  return new PromptWriter(tokenizer, { start: imageStart, end: imageEnd }, [bos]);
}

function writeRole(prompt: PromptWriter, role: "user" | "assistant", { roles }: ChatTokens): void {
  const name = roles[role];
  if (typeof name === "number") prompt.token(name);
  else prompt.text(name);
}

function writeTurn(prompt: PromptWriter, message: Message, tokens: ChatTokens): void {
  const isUser = message.role === "user";
  writeRole(prompt, isUser ? "user" : "assistant", tokens);
  const parts = stripped(message);
  if (parts.length === 0) {
    prompt.text(":");
    return;
  }
  prompt.text(": ");
  prompt.content(parts);
  if (isUser) prompt.text("\n\n");
  else prompt.token(tokens.eos);
}

// The reference's `content.strip()`, with every picture standing as a placeholder. A picture is followed by
// a line break, as in the reference's examples, unless the text behind it brings its own white space.
function stripped({ content }: Message): (string | Pixels)[] {
  const parts = content.flatMap((part, index): (string | Pixels)[] => {
    if (part.type === "text") return [part.text];
    const next = content[index + 1];
    const bringsSpace = next?.type === "text" && /^\s/.test(next.text);
    return bringsSpace ? [part.image] : [part.image, "\n"];
  });
  return trimmed(parts);
}
