// JanusFlow's chat template and where pictures go in it. Text in, token ids and picture slots out; the
// template is the reference's own code written again, never a template of the repository.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/processing_vlm.py#L176-L380
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import type { ImageTags } from "./config.ts";

/** What the core reads, in order: ids, or the embeddings of a picture (one more than its image tokens). */
export type PromptPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly pixels: Pixels };

/** Ids and strings that the template needs, looked up in the checkpoint's own tokenizer. */
export interface JanusTokens {
  readonly tokenizer: Tokenizer;
  readonly bos: number;
  readonly eos: number;
  readonly imageEnd: number;
}

const SYSTEM_PROMPT =
  "You are a helpful language and vision assistant. " +
  "You are able to understand the visual content that the user provides, " +
  "and assist the user with a variety of tasks using natural language.";

const BOS = "<｜begin▁of▁sentence｜>";
const EOS = "<｜end▁of▁sentence｜>";

/**
 * Looks the special tokens up by string; image tags that the file lacks are appended at the end of the
 * vocabulary in the reference's order (their embeddings are overwritten or never read).
 *
 * @throws ModelError checkpoint-invalid when the tokenizer has no begin or end of sentence
 */
export function findTokens(tokenizer: Tokenizer, tags: ImageTags): JanusTokens {
  const complete = tokenizer.withAddedTokens([tags.image, tags.generation, tags.start, tags.end]);
  return {
    tokenizer: complete,
    bos: complete.requireId(BOS),
    eos: complete.requireId(EOS),
    imageEnd: complete.requireId(tags.end),
  };
}

/**
 * The prompt of an understanding request: BOS, the system prompt, every turn, and `Assistant:`.
 *
 * A picture stands for `<image_placeholder>` where it occurs in a message; text that a user typed never
 * becomes a special token.
 *
 * @throws TypeError when the last message is not a user's, or a system message does not come first
 */
export function understandingPrompt(
  messages: readonly Message[],
  tokens: JanusTokens,
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
  prompt.text("Assistant:");
  return prompt.finish();
}

/**
 * The prompt of a drawing: BOS, `User: ...`, `Assistant:`. The generation tag that the reference appends
 * is dropped by it again: its slot is the timestep embedding's.
 */
export function drawingPrompt(prompt: string, tokens: JanusTokens): number[] {
  const content = prompt.trim();
  const user = content === "" ? "User:" : `User: ${content}\n\n`;
  return [tokens.bos, ...tokens.tokenizer.encodeText(`${user}Assistant:`)];
}

function writeTurn(prompt: PromptWriter, message: Message, tokens: JanusTokens): void {
  if (message.role === "system") {
    throw new TypeError("Only the first message may have role 'system'.");
  }
  const isUser = message.role === "user";
  const role = isUser ? "User" : "Assistant";
  const parts = stripped(message);
  if (parts.length === 0) {
    prompt.text(`${role}:`);
    return;
  }
  prompt.text(`${role}: `);
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
  readonly #tokens: JanusTokens;
  readonly #parts: PromptPart[] = [];
  #ids: number[];
  #text = "";

  constructor(tokens: JanusTokens) {
    this.#tokens = tokens;
    this.#ids = [tokens.bos];
  }

  text(text: string): void {
    this.#text += text;
  }

  token(id: number): void {
    this.#flushText();
    this.#ids.push(id);
  }

  picture(pixels: Pixels): void {
    this.#flushText();
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
