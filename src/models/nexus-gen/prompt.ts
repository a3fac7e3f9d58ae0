// Qwen2.5-VL's chat template and where pictures go in it, and the turns that make the model draw. Text in,
// ids and pictures out; what a user typed never becomes a control token.
// https://github.com/modelscope/Nexus-Gen/blob/fb49ff5/image_editing.py#L68-L80
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import type { Tokenizer } from "../../tokens/tokenizer.ts";
import { checkTurns, PromptWriter, type PromptPart } from "../prompt-parts.ts";
import type { TokenIds } from "./config.ts";

/** What the template needs of the checkpoint's own tokenizer. */
export interface NexusTokens extends TokenIds {
  readonly tokenizer: Tokenizer;
  readonly turnStart: number;
  readonly turnEnd: number;
}

const SYSTEM_PROMPT = "You are a helpful assistant.";

/** What is asked and answered around a drawing, in the languages of the training data. */
const DRAWING = {
  english: {
    question: "Generate an image according to the following description: ",
    answer: "Here is an image based on the description: ",
    edited: "Here is the image: ",
  },
  chinese: {
    question: "根据以下描述生成一张图像：",
    answer: "这是根据您的描述生成的图像：",
    edited: "以下为编辑后的图像：",
  },
} as const;

/** Looks the turn marks up. @throws ModelError checkpoint-invalid when the tokenizer has none */
export function findTokens(tokenizer: Tokenizer, ids: TokenIds): NexusTokens {
  return {
    ...ids,
    tokenizer,
    turnStart: tokenizer.requireId("<|im_start|>"),
    turnEnd: tokenizer.requireId("<|im_end|>"),
  };
}

/**
 * The prompt of a conversation, ready for the answer.
 *
 * @throws TypeError when the last message is not a user's, or a system message does not come first
 */
export function conversationPrompt(
  messages: readonly Message[],
  tokens: NexusTokens,
): PromptPart[] {
  checkTurns(messages);
  const prompt = beginPrompt(tokens);
  writeTurns(prompt, messages, tokens);
  prompt.token(tokens.turnStart);
  prompt.text("assistant\n");
  return prompt.finish();
}

/**
 * The prompt of a drawing up to the token that begins the picture. The answer's first words are not
 * generated but those of the training data, as DiffSynth's pipeline has it: no token is sampled.
 *
 * @see https://github.com/modelscope/DiffSynth-Studio/blob/fed7b18f/diffsynth/models/nexus_gen.py
 */
export function drawingPrompt(
  prompt: string,
  source: Pixels | undefined,
  tokens: NexusTokens,
): PromptPart[] {
  const isChinese = /\p{Script=Han}/u.test(prompt);
  const words = isChinese ? DRAWING.chinese : DRAWING.english;
  const writer = beginPrompt(tokens);
  const content: Message["content"] =
    source === undefined
      ? [{ type: "text", text: words.question + prompt }]
      : [
          { type: "image", image: source },
          { type: "text", text: ` ${prompt}` },
        ];
  writeTurns(writer, [{ role: "user", content }], tokens);
  writer.token(tokens.turnStart);
  writer.text(`assistant\n${source === undefined ? words.answer : words.edited}`);
  writer.token(tokens.visionStart);
  return writer.finish();
}

function beginPrompt({ tokenizer, visionStart, visionEnd }: NexusTokens): PromptWriter {
  return new PromptWriter(tokenizer, { start: visionStart, end: visionEnd });
}

function writeTurns(
  prompt: PromptWriter,
  messages: readonly Message[],
  { turnStart, turnEnd }: NexusTokens,
): void {
  const system: Message = { role: "system", content: [{ type: "text", text: SYSTEM_PROMPT }] };
  for (const { role, content } of messages[0]?.role === "system"
    ? messages
    : [system, ...messages]) {
    prompt.token(turnStart);
    prompt.text(`${role}\n`);
    prompt.content(content.map((part) => (part.type === "text" ? part.text : part.image)));
    prompt.token(turnEnd);
    prompt.text("\n");
  }
}
