// DeepSeek's chat template and where pictures go in it, for Janus and JanusFlow. Text in, token ids and picture
// slots out; the template is the reference's own code written again, never a template of the repository.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/processing_vlm.py#L118-L316
import type { Pixels } from "../base/pixels.ts";
import type { Message } from "../base/requests.ts";
import type { Tokenizer } from "../tokens/tokenizer.ts";

/** What the core reads, in order: ids, or the embeddings of a picture. */
export type PromptPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly pixels: Pixels };

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
  if (messages.at(-1)?.role !== "user") {
    throw new TypeError("The last message must have role 'user': it is what the model answers.");
  }
  const prompt = new PromptWriter(tokens);
  const [first, ...rest] = messages;
  const hasSystem = first?.role === "system";
  const systemPrompt = hasSystem ? plainText(first) : SYSTEM_PROMPT;
  if (systemPrompt !== "") prompt.text(`${systemPrompt}\n\n`);
  for (const message of hasSystem ? rest : messages) writeTurn(prompt, message, tokens);
  prompt.role("assistant");
  prompt.text(":");
  return prompt.finish();
}

/**
 * The prompt of a drawing: BOS, the user's turn without a system prompt, the assistant's role; the family adds
 * what begins a picture.
 */
export function drawingPrompt(prompt: string, tokens: ChatTokens): number[] {
  const writer = new PromptWriter(tokens);
  writeTurn(writer, { role: "user", content: [{ type: "text", text: prompt }] }, tokens);
  writer.role("assistant");
  writer.text(":");
  return writer.finish().flatMap((part) => (part.kind === "ids" ? part.ids : []));
}

function writeTurn(prompt: PromptWriter, message: Message, tokens: ChatTokens): void {
  if (message.role === "system") {
    throw new TypeError("Only the first message may have role 'system'.");
  }
  const isUser = message.role === "user";
  prompt.role(message.role);
  const parts = stripped(message);
  if (parts.length === 0) {
    prompt.text(":");
    return;
  }
  prompt.text(": ");
  for (const part of parts) {
    if (typeof part === "string") prompt.text(part);
    else prompt.picture(part);
  }
  if (isUser) prompt.text("\n\n");
  else prompt.token(tokens.eos);
}

// The reference's `content.strip()`, with every picture standing as a placeholder. A picture is followed by
// a line break, as in the reference's examples, unless the text behind it brings its own white space.
function stripped(message: Message): (string | Pixels)[] {
  const parts: (string | Pixels)[] = [];
  message.content.forEach((part, index) => {
    if (part.type === "text") {
      parts.push(part.text);
      return;
    }
    parts.push(part.image);
    const next = message.content[index + 1];
    if (next?.type !== "text" || !/^\s/.test(next.text)) parts.push("\n");
  });
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

function plainText(message: Message): string {
  const texts = message.content.map((part) => {
    if (part.type === "image") throw new TypeError("A system message cannot hold pictures.");
    return part.text;
  });
  return texts.join("").trim();
}

/** Collects text until a token or a picture interrupts it: the reference tokenizes between special tokens. */
class PromptWriter {
  readonly #tokens: ChatTokens;
  readonly #parts: PromptPart[] = [];
  #ids: number[];
  #text = "";

  constructor(tokens: ChatTokens) {
    this.#tokens = tokens;
    this.#ids = [tokens.bos];
  }

  text(text: string): void {
    this.#text += text;
  }

  role(role: "user" | "assistant"): void {
    const name = this.#tokens.roles[role];
    if (typeof name === "number") this.token(name);
    else this.text(name);
  }

  token(id: number): void {
    this.#flushText();
    this.#ids.push(id);
  }

  picture(pixels: Pixels): void {
    this.#flushText();
    if (this.#tokens.imageStart !== undefined) this.#ids.push(this.#tokens.imageStart);
    this.#parts.push({ kind: "ids", ids: this.#ids }, { kind: "picture", pixels });
    this.#ids = [this.#tokens.imageEnd];
  }

  finish(): PromptPart[] {
    this.#flushText();
    return [...this.#parts, { kind: "ids", ids: this.#ids }];
  }

  #flushText(): void {
    if (this.#text !== "") this.#ids.push(...this.#tokens.tokenizer.encodeText(this.#text));
    this.#text = "";
  }
}

/** Slots that a prompt takes in the core. @param pictureSlots - embeddings of one picture */
export function promptLength(parts: readonly PromptPart[], pictureSlots: number): number {
  return parts.reduce(
    (sum, part) => sum + (part.kind === "ids" ? part.ids.length : pictureSlots),
    0,
  );
}
