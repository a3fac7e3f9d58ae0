import { describe, expect, test } from "vitest";

import {
  checkConverseOptions,
  checkEditOptions,
  checkImageOptions,
  checkTextOptions,
} from "../../../src/base/check-options.ts";
import { MAX_TEXT_CHARACTERS } from "../../../src/base/check-values.ts";

const MESSAGES = [{ role: "user", content: "What is this?" }];
const PHOTO = new Blob(["photo"]);

describe("checkTextOptions", () => {
  test("fills in the library's defaults", () => {
    const { seed, ...rest } = checkTextOptions({ messages: MESSAGES });
    expect(rest).toEqual({
      messages: [{ role: "user", content: [{ type: "text", text: "What is this?" }] }],
      maxTokens: 512,
      temperature: 0,
      topK: 0,
      topP: 1,
    });
    expect(Number.isSafeInteger(seed)).toBe(true);
  });

  test("draws another seed each time, and keeps one that was given", () => {
    const seeds = Array.from({ length: 8 }, () => checkTextOptions({ messages: MESSAGES }).seed);
    expect(new Set(seeds).size).toBeGreaterThan(1);
    expect(checkTextOptions({ messages: MESSAGES, seed: -7 }).seed).toBe(-7);
  });

  test("keeps parts and pictures in order", () => {
    const content = [
      { type: "text", text: "Compare " },
      { type: "image", image: PHOTO },
      { type: "image", image: "https://example.org/a.png" },
      { type: "image", image: new URL("https://example.org/b.png") },
    ];
    const { messages } = checkTextOptions({ messages: [{ role: "user", content }] });
    expect(messages[0]?.content).toEqual(content);
  });

  test("takes an answer that was empty", () => {
    const messages = [...MESSAGES, { role: "assistant", content: "" }, ...MESSAGES];
    expect(checkTextOptions({ messages }).messages).toHaveLength(3);
  });

  test.each([
    [undefined, /must be an object, got undefined/],
    [null, /must be an object, got null/],
    [[], /must be an object, got Array/],
    [{}, /messages must be an array, got undefined/],
    [{ messages: "hi" }, /messages must be an array, got "hi"/],
    [{ messages: [] }, /messages must not be empty/],
    [{ messages: [null] }, /messages\[0\] must be an object, got null/],
    [{ messages: [{ role: "robot", content: "a" }] }, /role must be one of .* got "robot"/],
    [{ messages: [{ role: "__proto__", content: "a" }] }, /role must be one of/],
    [{ messages: [{ role: "user" }] }, /messages\[0\].content must be an array, got undefined/],
    [{ messages: [{ role: "user", content: "" }] }, /messages\[0\].content must not be empty/],
    [{ messages: [{ role: "user", content: [] }] }, /content must not be empty/],
    [{ messages: [{ role: "user", content: ["a"] }] }, /content\[0\] must be an object, got "a"/],
    [{ messages: [{ role: "user", content: [{ type: "video" }] }] }, /type must be .* got "video"/],
    [{ messages: [{ role: "user", content: [{ type: "text" }] }] }, /text must be a string/],
    [
      { messages: [{ role: "user", content: [{ type: "image", image: {} }] }] },
      /content\[0\].image must be a Blob.* got Object/,
    ],
    [
      { messages: [{ role: "user", content: [{ type: "image", image: "" }] }] },
      /image must be a Blob.* got ""/,
    ],
    [
      { messages: [{ role: "user", content: [{ type: "text", text: "a", image: PHOTO }] }] },
      /Unknown key "image"/,
    ],
    [{ messages: MESSAGES, maxTokens: "9" }, /maxTokens must be an integer .* got "9"/],
    [{ messages: MESSAGES, signal: {} }, /signal must be an AbortSignal, got Object/],
    [
      { messages: MESSAGES, maxToken: 9 },
      /Unknown key "maxToken" in options of generateText. Did you mean maxTokens\?/,
    ],
    [{ messages: MESSAGES, TopK: 9 }, /Did you mean topK\?/],
    [{ messages: MESSAGES, somethingElse: 9 }, /Known are messages, maxTokens/],
    [{ messages: MESSAGES, prompt: "x" }, /Unknown key "prompt"/],
  ])("refuses %j with a TypeError", (options, message) => {
    expect(() => checkTextOptions(options)).toThrow(TypeError);
    expect(() => checkTextOptions(options)).toThrow(message);
  });

  test.each([
    [{ maxTokens: 0 }, /maxTokens must be an integer from 1 to 1000000, got 0/],
    [{ maxTokens: 1.5 }, /got 1.5/],
    [{ temperature: -1 }, /temperature must be a number from 0 to 100, got -1/],
    [{ temperature: Number.NaN }, /got NaN/],
    [{ temperature: Number.POSITIVE_INFINITY }, /got Infinity/],
    [{ topP: 0 }, /topP must be above 0/],
    [{ topP: 1.01 }, /topP must be a number from 0 to 1/],
    [{ topK: -1 }, /topK/],
    [{ seed: 2 ** 53 }, /seed/],
    [{ seed: 0.5 }, /seed/],
    [
      { messages: [{ role: "user", content: "a".repeat(MAX_TEXT_CHARACTERS + 1) }] },
      /at most 100000/,
    ],
    [
      { messages: Array.from({ length: 1001 }, () => MESSAGES[0]) },
      /at most 1000 entries, got 1001/,
    ],
  ])("refuses %o with a RangeError", (options, message) => {
    const check = (): unknown => checkTextOptions({ messages: MESSAGES, ...options });
    expect(check).toThrow(RangeError);
    expect(check).toThrow(message);
  });

  test("accepts both ends of every range", () => {
    const ends = [
      { maxTokens: 1, temperature: 0, topP: 1e-9, topK: 0, seed: -Number.MAX_SAFE_INTEGER },
      { maxTokens: 1e6, temperature: 100, topP: 1, topK: 1e6, seed: Number.MAX_SAFE_INTEGER },
    ];
    for (const end of ends)
      expect(checkTextOptions({ messages: MESSAGES, ...end })).toMatchObject(end);
  });

  test("takes undefined for absent, and a signal", () => {
    const { signal } = new AbortController();
    const options = { messages: MESSAGES, maxTokens: undefined, signal };
    expect(checkTextOptions(options).maxTokens).toBe(512);
    expect(checkTextOptions(options)).not.toHaveProperty("signal");
  });

  test("never shows more than a little of a long strange value", () => {
    const role = "x".repeat(10_000);
    try {
      checkTextOptions({ messages: [{ role, content: "a" }] });
      expect.unreachable();
    } catch (error) {
      expect(String(error).length).toBeLessThan(200);
    }
  });
});

describe("checkImageOptions", () => {
  test("leaves to the family what was not given", () => {
    const { seed, ...rest } = checkImageOptions({ prompt: "a fox" });
    expect(rest).toEqual({ prompt: "a fox", count: 1, previewEvery: 0 });
    expect(Number.isSafeInteger(seed)).toBe(true);
  });

  test("passes on what was given", () => {
    const options = {
      prompt: "a fox",
      negativePrompt: "rain",
      width: 384,
      height: 256,
      steps: 30,
      guidance: 2.5,
      seed: 42,
      count: 3,
      previewEvery: 5,
    };
    expect(checkImageOptions(options)).toEqual(options);
  });

  test("copies latents", () => {
    const latents = Float32Array.of(1, 2, 3, 4);
    const checked = checkImageOptions({ prompt: "", count: 2, latents });
    latents[0] = 9;
    expect(checked.latents).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  test.each([
    [{}, TypeError, /prompt must be a string, got undefined/],
    [{ prompt: 7 }, TypeError, /prompt must be a string, got 7/],
    [{ prompt: "a", negativePrompt: null }, TypeError, /negativePrompt must be a string, got null/],
    [{ prompt: "a".repeat(MAX_TEXT_CHARACTERS + 1) }, RangeError, /prompt must have at most/],
    [{ prompt: "a", steps: 0 }, RangeError, /steps must be an integer from 1 to 1000, got 0/],
    [{ prompt: "a", steps: 1001 }, RangeError, /got 1001/],
    [{ prompt: "a", steps: "30" }, TypeError, /steps must be an integer .* got "30"/],
    [{ prompt: "a", guidance: -0.1 }, RangeError, /guidance/],
    [{ prompt: "a", guidance: 101 }, RangeError, /guidance/],
    [{ prompt: "a", count: 0 }, RangeError, /count must be an integer from 1 to 64, got 0/],
    [{ prompt: "a", count: 65 }, RangeError, /count/],
    [{ prompt: "a", width: 0 }, RangeError, /width/],
    [{ prompt: "a", height: 9000 }, RangeError, /height/],
    [{ prompt: "a", previewEvery: -1 }, RangeError, /previewEvery/],
    [{ prompt: "a", latents: [1] }, TypeError, /latents must be a Float32Array, got Array/],
    [{ prompt: "a", latents: new Float32Array() }, RangeError, /latents .* got 0/],
    [
      { prompt: "a", latents: new Float32Array(3), count: 2 },
      RangeError,
      /multiple of count \(2\)/,
    ],
    [{ prompt: "a", latents: Float32Array.of(0, Number.NaN) }, RangeError, /finite, got NaN at 1/],
    [
      { promt: "a" },
      TypeError,
      /Unknown key "promt" in options of generateImage. Did you mean prompt\?/,
    ],
    [{ prompt: "a", negative_prompt: "b" }, TypeError, /Did you mean negativePrompt\?/],
    [{ prompt: "a", images: [PHOTO] }, TypeError, /Unknown key "images"/],
  ])("refuses %o", (options, kind, message) => {
    expect(() => checkImageOptions(options)).toThrow(kind);
    expect(() => checkImageOptions(options)).toThrow(message);
  });
});

describe("checkEditOptions", () => {
  test("adds pictures to what a drawing takes", () => {
    const checked = checkEditOptions({ prompt: "in snow", images: [PHOTO], imageGuidance: 1.5 });
    expect(checked).toMatchObject({
      prompt: "in snow",
      images: [PHOTO],
      imageGuidance: 1.5,
      count: 1,
    });
  });

  test.each([
    [{ prompt: "a" }, TypeError, /images must be an array/],
    [{ prompt: "a", images: [] }, TypeError, /images must not be empty/],
    [{ prompt: "a", images: PHOTO }, TypeError, /images must be an array, got Blob/],
    [{ prompt: "a", images: [7] }, TypeError, /images\[0\] must be a Blob.* got 7/],
    [{ prompt: "a", images: Array.from({ length: 17 }, () => PHOTO) }, RangeError, /at most 16/],
    [{ prompt: "a", images: [PHOTO], imageGuidance: -1 }, RangeError, /imageGuidance/],
  ])("refuses %o", (options, kind, message) => {
    expect(() => checkEditOptions(options)).toThrow(kind);
    expect(() => checkEditOptions(options)).toThrow(message);
  });
});

describe("checkConverseOptions", () => {
  test("takes a conversation and the steering of its pictures", () => {
    const { seed: _, ...rest } = checkConverseOptions({
      messages: MESSAGES,
      steps: 9,
      guidance: 3,
    });
    expect(rest).toEqual({
      maxTokens: 512,
      temperature: 0,
      topK: 0,
      topP: 1,
      steps: 9,
      guidance: 3,
      previewEvery: 0,
      messages: [{ role: "user", content: [{ type: "text", text: "What is this?" }] }],
    });
  });

  test("refuses a prompt", () => {
    expect(() => checkConverseOptions({ messages: MESSAGES, prompt: "a" })).toThrow(TypeError);
  });
});
