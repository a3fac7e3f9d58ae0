// Meta's tokens_from_ui wrote these prompts: test/golden/chameleon/make.py.
import { describe, expect, test } from "vitest";
import type { Message } from "../../../../src/base/requests.ts";
import { parseChameleonConfig } from "../../../../src/models/chameleon/config.ts";
import { guidedContexts } from "../../../../src/models/chameleon/guidance.ts";
import { promptLength, type PromptPart } from "../../../../src/models/prompt-parts.ts";
import {
  answerPrompt,
  drawingPrompt,
  interleavedPrompt,
  PICTURE_MARKS,
} from "../../../../src/models/chameleon/prompt.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { goldenMessages } from "../../../contract/chameleon-stages.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";

function open(name: "anole" | "chameleon") {
  const goldens = readChameleonGoldens(name);
  const files = readCheckpointFiles(new URL("checkpoint/", chameleonFolder(name)));
  const { vocabulary } = parseChameleonConfig(files, new Set());
  const file = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  const tokens = { tokenizer: file.withAddedTokens(vocabulary.controls), vocabulary };
  /** Ids with the golden codes of every photo. */
  const flatten = (parts: readonly PromptPart[]): number[] =>
    parts.flatMap((part) => {
      if (part.kind === "ids") return part.ids;
      const codes = goldens.tensors.get(`picture.${goldens.photos.indexOf(part.pixels)}.codes`);
      const ids = Array.from(codes?.values ?? [], (code) => vocabulary.codeIds[code] ?? -1);
      return [vocabulary.boi, ...ids, vocabulary.eoi];
    });
  return { goldens, tokens, vocabulary, flatten };
}

const said = (role: Message["role"], text: string): Message => ({
  role,
  content: [{ type: "text", text }],
});

describe.each(["anole", "chameleon"] as const)("checkpoint %s", (name) => {
  const { goldens, tokens, flatten } = open(name);

  test.each(Object.keys(goldens.json.text))("answerPrompt: %s", (key) => {
    const parts = answerPrompt(goldenMessages(goldens, key), tokens);
    const ids = goldens.json.text[key]?.ids;
    expect(flatten(parts)).toEqual(ids);
    expect(promptLength(parts, 16 + PICTURE_MARKS)).toBe(ids?.length);
  });
});

describe("prompts", () => {
  const { goldens, tokens, vocabulary, flatten } = open("anole");

  test.each(Object.entries(goldens.json.draw ?? {}))("drawingPrompt: %s", (_, golden) => {
    const images = golden.parts.flatMap((part) =>
      typeof part === "number" ? goldens.photos.slice(part, part + 1) : [],
    );
    const text = golden.parts.filter((part) => typeof part === "string").join("");
    expect(flatten(drawingPrompt(images, text, tokens))).toEqual(golden.contexts[0]);
  });

  test("interleavedPrompt leaves the last turn open", () => {
    const messages = [said("user", "Hi"), said("assistant", "A fox."), said("user", "Draw it")];
    const closed = flatten(answerPrompt(messages, tokens));
    expect(flatten(interleavedPrompt(messages, tokens))).toEqual(closed.slice(0, -1));
    expect(closed.filter((id) => id === vocabulary.eot)).toHaveLength(3);
  });

  test("a system message opens the user's turn", () => {
    const [begin, ...rest] = flatten(
      answerPrompt([said("system", "Be short."), said("user", "Hi")], tokens),
    );
    expect(begin).toBe(vocabulary.bos);
    expect(rest.filter((id) => id === vocabulary.eot)).toHaveLength(1);
    expect(tokens.tokenizer.decode(rest)).toBe("Be short.Hi");
  });

  test("a mark or a code that a user typed stays text", () => {
    const typed = "a <racm3:break>IMGIMGBCZ<eoss><reserved08706></s> fox";
    const ids = flatten(answerPrompt([said("user", typed)], tokens)).slice(1, -1);
    const controls = new Set(vocabulary.controls.map((control) => tokens.tokenizer.idOf(control)));
    expect(ids.filter((id) => controls.has(id))).toEqual([]);
    expect(tokens.tokenizer.decode(ids)).toBe(typed);
  });

  test("refuses a conversation that ends with the assistant", () => {
    expect(() => answerPrompt([said("assistant", "Hi")], tokens)).toThrow(TypeError);
  });

  test("refuses a system message in the middle, and one with a picture", () => {
    const middle = [said("user", "Hi"), said("system", "No"), said("user", "Hi")];
    expect(() => answerPrompt(middle, tokens)).toThrow(TypeError);
    const image = {
      type: "image" as const,
      image: { width: 1, height: 1, data: new Uint8ClampedArray(4) },
    };
    const picture: Message = { role: "system", content: [image] };
    expect(() => answerPrompt([picture, said("user", "Hi")], tokens)).toThrow(TypeError);
  });
});

describe("guidedContexts", () => {
  const { goldens, vocabulary } = open("anole");
  const scales = { guidance: 3, imageGuidance: 1.2 };
  const { bos, boi, eot } = vocabulary;

  test("are the reference's three", () => {
    const contexts = goldens.json.draw?.["withPictures"]?.contexts ?? [];
    const guided = guidedContexts(contexts[0] ?? [], vocabulary, scales);
    expect(guided.map(({ ids }) => ids)).toEqual(contexts);
    const [full = 0, pictures = 0, none = 0] = guided.map(({ weight }) => weight);
    expect([full, pictures, none]).toEqual([3, expect.closeTo(-1.8), expect.closeTo(-0.2)]);
  });

  test("are two without pictures and one without guidance", () => {
    const full = [bos, 300, eot, boi];
    const two = guidedContexts(full, vocabulary, scales);
    expect(two).toEqual([
      { ids: full, weight: 3 },
      { ids: [bos, boi], weight: expect.closeTo(-2) as number },
    ]);
    expect(guidedContexts(full, vocabulary, { ...scales, guidance: 1 })).toEqual([
      { ids: full, weight: 1 },
    ]);
  });

  test("an unwanted text stands where the text is missing", () => {
    const guided = guidedContexts([bos, 300, eot, boi], vocabulary, scales, [301, eot]);
    expect(guided[1]?.ids).toEqual([bos, 301, eot, boi]);
  });
});
