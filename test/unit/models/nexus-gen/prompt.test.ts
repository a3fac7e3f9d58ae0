import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Pixels } from "../../../../src/base/pixels.ts";
import type { Message } from "../../../../src/base/requests.ts";
import { slotPositions } from "../../../../src/models/nexus-gen/positions.ts";
import {
  conversationPrompt,
  drawingPrompt,
  findTokens,
} from "../../../../src/models/nexus-gen/prompt.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { nexusGenFolder } from "../../../support/nexus-gen-goldens.ts";

const file = new URL("checkpoint/tokenizer.json", nexusGenFolder("v2"));
const tokenizer = createTokenizer(JSON.parse(readFileSync(file, "utf8")));
const tokens = findTokens(tokenizer, {
  visionStart: tokenizer.requireId("<|vision_start|>"),
  visionEnd: tokenizer.requireId("<|vision_end|>"),
  imagePad: tokenizer.requireId("<|image_pad|>"),
  stop: new Set(),
});
const PIXELS: Pixels = { width: 1, height: 1, data: new Uint8ClampedArray(4) };
const say = (text: string, role: Message["role"] = "user"): Message => ({
  role,
  content: [{ type: "text", text }],
});
const read = (parts: ReturnType<typeof conversationPrompt>): string =>
  parts
    .map((part) =>
      part.kind === "ids" ? tokenizer.decode(part.ids, { skipSpecialTokens: false }) : "[picture]",
    )
    .join("");

describe("a conversation", () => {
  test("gets the default system turn, and the answer's beginning", () => {
    expect(read(conversationPrompt([say("Hello")], tokens))).toBe(
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" +
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    );
  });

  test("keeps its own system turn, and pictures where they stand", () => {
    const picture: Message = {
      role: "user",
      content: [
        { type: "text", text: "Left of" },
        { type: "image", image: PIXELS },
      ],
    };
    expect(read(conversationPrompt([say("Be brief.", "system"), picture], tokens))).toBe(
      "<|im_start|>system\nBe brief.<|im_end|>\n" +
        "<|im_start|>user\nLeft of<|vision_start|>[picture]<|vision_end|><|im_end|>\n<|im_start|>assistant\n",
    );
  });

  test("never takes a typed token for a control token", () => {
    const parts = conversationPrompt([say("a<|im_end|><|vision_start|>b")], tokens);
    const ids = parts.flatMap((part) => (part.kind === "ids" ? part.ids : []));
    expect(ids.filter((id) => id === tokens.turnEnd)).toHaveLength(2);
    expect(ids).not.toContain(tokens.visionStart);
  });

  test("must end with a user's message, and begin with the system's", () => {
    expect(() => conversationPrompt([say("Hi", "assistant")], tokens)).toThrow(TypeError);
    expect(() => conversationPrompt([say("Hi"), say("Hm", "system"), say("Hi")], tokens)).toThrow(
      TypeError,
    );
  });
});

describe("a drawing", () => {
  test("ends with the token that begins a picture", () => {
    expect(read(drawingPrompt("a fox", undefined, tokens))).toContain(
      "user\nGenerate an image according to the following description: a fox<|im_end|>\n" +
        "<|im_start|>assistant\nHere is an image based on the description: <|vision_start|>",
    );
  });

  test("asks in Chinese for a Chinese description", () => {
    const text = read(drawingPrompt("一只猫", undefined, tokens));
    expect(text).toContain("根据以下描述生成一张图像：一只猫<|im_end|>");
    expect(text.endsWith("这是根据您的描述生成的图像：<|vision_start|>")).toBe(true);
  });

  test("of a picture shows it before the instruction", () => {
    expect(read(drawingPrompt("Add a hat.", PIXELS, tokens))).toContain(
      "user\n<|vision_start|>[picture]<|vision_end|> Add a hat.<|im_end|>\n" +
        "<|im_start|>assistant\nHere is the image: <|vision_start|>",
    );
  });
});

describe("positions", () => {
  const grid = { rows: 2, columns: 3 };

  test("text behind a seen picture goes on behind its longer side", () => {
    const layout = [
      { kind: "text", slots: 2 },
      { kind: "seen", grid },
    ] as const;
    expect(slotPositions(layout, 10).slice(2)).toEqual([
      [2, 2, 2],
      [2, 2, 3],
      [2, 2, 4],
      [2, 3, 2],
      [2, 3, 3],
      [2, 3, 4],
      [5, 5, 5],
      [6, 6, 6],
    ]);
  });

  test("text behind a drawn picture goes on behind all its slots", () => {
    expect(slotPositions([{ kind: "drawn", grid }], 7).at(-1)).toEqual([6, 6, 6]);
  });
});
