// The authors' processor wrote these prompts: test/golden/janus-flow/make.py.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ContentPart, Message } from "../../../../src/base/requests.ts";
import { parseJanusFlowConfig } from "../../../../src/models/janus-flow/config.ts";
import { promptLength } from "../../../../src/models/prompt-parts.ts";
import {
  drawingPrompt,
  findTokens,
  understandingPrompt,
  type JanusTokens,
} from "../../../../src/models/janus-flow/prompt.ts";
import { pictureSlots } from "../../../../src/models/janus-flow/vision.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";

const PICTURE = { width: 1, height: 1, data: new Uint8ClampedArray(4) };
const PLACEHOLDER = "<image_placeholder>";

interface GoldenTurn {
  readonly role: string;
  readonly content: string;
}

interface Goldens {
  readonly tokens: { image: number; imageStart: number; imageEnd: number };
  readonly understand: Record<string, { conversation: GoldenTurn[]; inputIds: number[] }>;
  readonly generate: {
    prompt: string;
    keptIds: number[];
    negativePrompt: string;
    negativeIds: number[];
  };
}

function open(name: "a" | "b") {
  const folder = new URL(`../../../golden/janus-flow/${name}/`, import.meta.url);
  const goldens: Goldens = JSON.parse(readFileSync(new URL("goldens.json", folder), "utf8"));
  const files = readCheckpointFiles(new URL("checkpoint/", folder));
  const config = parseJanusFlowConfig(files);
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  return { goldens, config, tokens: findTokens(tokenizer, config.tags) };
}

/** The golden conversation as our messages: the last, empty turn is the one to be answered. */
function toMessages(conversation: readonly GoldenTurn[]): Message[] {
  return conversation.slice(0, -1).map(({ role, content }) => ({
    role: role === "User" ? ("user" as const) : ("assistant" as const),
    content: content
      .split(PLACEHOLDER)
      .flatMap((text, index): ContentPart[] => [
        ...(index === 0 ? [] : [{ type: "image" as const, image: PICTURE }]),
        ...(text === "" ? [] : [{ type: "text" as const, text }]),
      ]),
  }));
}

function flatten(
  messages: Message[],
  tokens: JanusTokens,
  golden: Goldens,
  patches: number,
): number[] {
  return understandingPrompt(messages, tokens).flatMap((part) =>
    part.kind === "ids"
      ? part.ids
      : [golden.tokens.imageStart, ...Array<number>(patches).fill(golden.tokens.image)],
  );
}

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const { goldens, config, tokens } = open(name);
  const patches = pictureSlots(config) - 1;

  test.each(Object.keys(goldens.understand))("understandingPrompt: %s", (key) => {
    const golden = goldens.understand[key];
    const messages = toMessages(golden?.conversation ?? []);
    expect(flatten(messages, tokens, goldens, patches)).toEqual(golden?.inputIds);
    expect(promptLength(understandingPrompt(messages, tokens), patches + 1)).toBe(
      golden?.inputIds.length,
    );
  });

  test("drawingPrompt drops the generation tag as the reference does", () => {
    const { prompt, keptIds, negativePrompt, negativeIds } = goldens.generate;
    expect(drawingPrompt(prompt, tokens)).toEqual(keptIds);
    expect(drawingPrompt(negativePrompt, tokens)).toEqual(negativeIds.slice(0, -1));
  });

  test("a special token that a user typed stays text", () => {
    const ids = drawingPrompt(`a ${PLACEHOLDER} <｜end▁of▁sentence｜>`, tokens);
    expect(ids).not.toContain(goldens.tokens.image);
    expect(ids.slice(1)).not.toContain(tokens.eos);
  });
});

describe("understandingPrompt", () => {
  const { tokens } = open("a");
  const text = (role: Message["role"], content: string): Message => ({
    role,
    content: [{ type: "text", text: content }],
  });

  test("puts a line break behind a picture that has no white space behind it", () => {
    const image: ContentPart = { type: "image", image: PICTURE };
    const bare = understandingPrompt(
      [{ role: "user", content: [image, { type: "text", text: "What?" }] }],
      tokens,
    );
    const broken = understandingPrompt(
      [{ role: "user", content: [image, { type: "text", text: "\nWhat?" }] }],
      tokens,
    );
    expect(bare).toEqual(broken);
  });

  test("a system message replaces the reference's system prompt", () => {
    const ids = (messages: Message[]) =>
      understandingPrompt(messages, tokens).flatMap((part) =>
        part.kind === "ids" ? part.ids : [],
      );
    const own = ids([text("system", "Be short."), text("user", "Hi")]);
    expect(own.length).toBeLessThan(ids([text("user", "Hi")]).length);
  });

  test("refuses a conversation that ends with the assistant", () => {
    expect(() => understandingPrompt([text("assistant", "Hi")], tokens)).toThrow(TypeError);
  });

  test("refuses a system message in the middle", () => {
    expect(() =>
      understandingPrompt([text("user", "Hi"), text("system", "No"), text("user", "Hi")], tokens),
    ).toThrow(TypeError);
  });
});
