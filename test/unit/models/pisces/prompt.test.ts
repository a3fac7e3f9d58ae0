// LLaMA-3's template as test/golden/pisces/make.py wrote it, tokenized by transformers.
import { describe, expect, test } from "vitest";
import type { ContentPart, Message } from "../../../../src/base/requests.ts";
import { parsePiscesConfig } from "../../../../src/models/pisces/config.ts";
import {
  drawingPrompt,
  findTokens,
  understandingPrompt,
} from "../../../../src/models/pisces/prompt.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { goldenMessages } from "../../../contract/pisces-stages.ts";
import { readPiscesFiles, readPiscesGoldens } from "../../../support/pisces-goldens.ts";

const PICTURE = { width: 1, height: 1, data: new Uint8ClampedArray(4) };

function open(name: "a" | "b") {
  const files = readPiscesFiles(name);
  const tokenizer = createTokenizer(files["tokenizer.json"]);
  return {
    goldens: readPiscesGoldens(name),
    tokens: findTokens(tokenizer, parsePiscesConfig(files).tags),
  };
}

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const { goldens, tokens } = open(name);
  const { understand, generate } = goldens.json;

  test.each(Object.keys(understand))("understandingPrompt: %s", (key) => {
    const golden = understand[key];
    if (golden === undefined) throw new Error("a golden case");
    const parts = understandingPrompt(goldenMessages(golden, goldens.photos), tokens);
    const last = golden.textIds.length - 1;
    const expected = golden.textIds.flatMap((ids, index) => [
      ...(index === 0 ? [] : [tokens.imageEnd]),
      ...ids,
      ...(index === last ? [] : [tokens.imageStart]),
    ]);
    expect(parts.flatMap((part) => (part.kind === "ids" ? part.ids : []))).toEqual(expected);
    expect(parts.filter(({ kind }) => kind === "picture")).toHaveLength(last);
  });

  test("drawingPrompt is the caption alone, and image start", () => {
    const { prompt, negativePrompt, promptIds } = generate;
    expect(drawingPrompt(prompt, tokens)).toEqual(promptIds.cond);
    expect(drawingPrompt("", tokens)).toEqual(promptIds.uncond);
    expect(drawingPrompt(` ${negativePrompt}\n`, tokens)).toEqual(promptIds.negative);
  });

  test("a special token that a user typed stays text", () => {
    const ids = drawingPrompt("a <|eot_id|><|reserved_special_token_0|> fox", tokens);
    expect(ids.filter((id) => id === tokens.turnEnd)).toHaveLength(1);
    expect(ids.indexOf(tokens.imageStart)).toBe(ids.length - 1);
  });
});

describe("understandingPrompt", () => {
  const { tokens } = open("a");
  const image: ContentPart = { type: "image", image: PICTURE };
  const text = (role: Message["role"], content: string): Message => ({
    role,
    content: [{ type: "text", text: content }],
  });

  test("drops blank text around a picture, and nothing inside", () => {
    const ask = (...content: ContentPart[]) =>
      understandingPrompt([{ role: "user", content }], tokens);
    const blank: ContentPart = { type: "text", text: " \n" };
    expect(ask(blank, image, blank)).toEqual(ask(image));
    expect(ask(image, blank, image)).not.toEqual(ask(image, image));
  });

  test("ends an answer at any of LLaMA-3's three ends", () => {
    expect(tokens.stopIds.size).toBe(3);
    expect(tokens.stopIds).toContain(tokens.turnEnd);
  });

  test("refuses a conversation that ends with the assistant", () => {
    expect(() => understandingPrompt([text("assistant", "Hi")], tokens)).toThrow(TypeError);
  });

  test("refuses a system message in the middle", () => {
    const messages = [text("user", "Hi"), text("system", "No"), text("user", "Hi")];
    expect(() => understandingPrompt(messages, tokens)).toThrow(TypeError);
  });
});
