// LLaMA-3's chat template and where pictures go in it. Text in, token ids and picture slots out. Without the
// lines that tell LLaMA-3.1 today's date.
// https://github.com/meta-llama/llama3/blob/main/llama/tokenizer.py (ChatFormat)
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import type { ImageTags } from "./config.ts";

/** What the core reads, in order: ids, or the embeddings of a picture. */
export type PromptPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly pixels: Pixels };

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
  if (messages.at(-1)?.role !== "user") {
    throw new TypeError("The last message must have role 'user': it is what the model answers.");
  }
  if (messages.slice(1).some(({ role }) => role === "system")) {
    throw new TypeError("Only the first message may have role 'system'.");
  }
  const prompt = new PromptWriter(tokens);
  for (const { role, content } of messages) {
    prompt.header(role);
    for (const part of stripped(content)) {
      if (typeof part === "string") prompt.text(part);
      else prompt.picture(part);
    }
    prompt.token(tokens.turnEnd);
  }
  prompt.header("assistant");
  return prompt.finish();
}

/** The prompt of a drawing: the caption as a user's message; image start, behind which the vectors come, is last. */
export function drawingPrompt(caption: string, tokens: PiscesTokens): number[] {
  const content = [{ type: "text", text: caption } as const];
  const parts = understandingPrompt([{ role: "user", content }], tokens);
  return [...parts.flatMap((part) => (part.kind === "ids" ? part.ids : [])), tokens.imageStart];
}

// The template's `content | trim`, with every picture standing as something that is not blank.
function stripped(content: Message["content"]): (string | Pixels)[] {
  const parts = content.map((part) => (part.type === "text" ? part.text : part.image));
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

/** Collects text until a token or a picture interrupts it: the tokenizer's own rule for special tokens. */
class PromptWriter {
  readonly #tokens: PiscesTokens;
  readonly #parts: PromptPart[] = [];
  #ids: number[];
  #text = "";

  constructor(tokens: PiscesTokens) {
    this.#tokens = tokens;
    this.#ids = [tokens.bos];
  }

  header(role: Message["role"]): void {
    this.token(this.#tokens.headerStart);
    this.text(role);
    this.token(this.#tokens.headerEnd);
    this.text("\n\n");
  }

  text(text: string): void {
    this.#text += text;
  }

  token(id: number): void {
    this.#flushText();
    this.#ids.push(id);
  }

  picture(pixels: Pixels): void {
    this.token(this.#tokens.imageStart);
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
