// Python's `tokenizers` made the goldens: test/golden/tokenizer/make.py.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createTextStream, createTokenizer } from "../../../src/tokens/tokenizer.ts";

interface GoldenString {
  readonly text: string;
  readonly ids: number[];
  readonly decodedPlain: string;
}

const GOLDEN = new URL("../../golden/", import.meta.url);

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, GOLDEN), "utf8"));
}

function open(name: "a" | "b") {
  const folder = `janus-flow/${name}/checkpoint/`;
  return createTokenizer(
    readJson(`${folder}tokenizer.json`),
    readJson(`${folder}tokenizer_config.json`),
  );
}

function goldenStrings(name: "a" | "b"): GoldenString[] {
  const golden = readJson(`tokenizer/${name}.json`) as { cases: GoldenString[] };
  return golden.cases;
}

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const tokenizer = open(name);

  test("encodes templates as Python does", () => {
    for (const { text, ids } of goldenStrings(name)) {
      // a's post-processor prepends BOS, b's does not; here templates do.
      const own = name === "a" ? ids.slice(1) : ids;
      expect(tokenizer.encodeTemplate(text), JSON.stringify(text)).toEqual(own);
    }
  });

  test("a stream's deltas are the decoded text", () => {
    for (const { text } of goldenStrings(name)) {
      const ids = tokenizer.encodeText(text);
      const stream = createTextStream(tokenizer);
      const deltas = ids.map((id) => stream.push(id));
      expect(deltas.join("") + stream.end()).toBe(tokenizer.decode(ids));
    }
  });
});

describe("encodeText", () => {
  const tokenizer = open("a");

  test("never makes a special token of what a user typed", () => {
    const eos = tokenizer.requireId("<｜end▁of▁sentence｜>");
    const typed = "a <｜end▁of▁sentence｜> b";
    expect(tokenizer.encodeTemplate(typed)).toContain(eos);
    expect(tokenizer.encodeText(typed)).not.toContain(eos);
    expect(tokenizer.decode(tokenizer.encodeText(typed))).toBe(typed);
  });
});

describe("withAddedTokens", () => {
  test("appends missing tokens in order behind the last id", () => {
    const tokenizer = open("b");
    const before = tokenizer.vocabularySize;
    const more = tokenizer.withAddedTokens(["<one>", "<two>", "<one>"]);
    expect([more.idOf("<one>"), more.idOf("<two>")]).toEqual([before, before + 1]);
    expect(more.vocabularySize).toBe(before + 2);
  });

  test("keeps tokens that are there", () => {
    const tokenizer = open("a");
    const tag = "<image_placeholder>";
    expect(tokenizer.withAddedTokens([tag]).idOf(tag)).toBe(tokenizer.idOf(tag));
  });
});

describe("createTextStream", () => {
  const tokenizer = open("a");

  test("shows a character of several ids only when it is whole", () => {
    const ids = tokenizer.encodeText("é今");
    const stream = createTextStream(tokenizer);
    const deltas = ids.map((id) => stream.push(id));
    expect(deltas.join("")).not.toContain("\uFFFD");
    expect(deltas.join("") + stream.end()).toBe("é今");
  });

  test("does not wait for ever for a character that never ends", () => {
    const broken = tokenizer.encodeText("今")[0] ?? 0;
    const stream = createTextStream(tokenizer);
    const deltas = Array.from({ length: 8 }, () => stream.push(broken));
    expect(deltas.join("")).toContain("\uFFFD");
  });
});

describe("createTokenizer", () => {
  const model = { type: "BPE", vocab: { a: 0 }, merges: [] };

  test.each([
    ["nothing", undefined],
    ["a list", []],
    ["no model", { added_tokens: [] }],
    ["added tokens that are none", { model, added_tokens: [{ id: -1, content: "x" }] }],
    ["an unknown model", { model: { type: "Other" } }],
    [
      "a pattern that hangs",
      {
        model,
        pre_tokenizer: { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated" },
      },
    ],
    [
      "an endless pattern",
      { model, pre_tokenizer: { type: "Split", pattern: { Regex: "a".repeat(30_000) } } },
    ],
  ])("refuses %s as checkpoint-invalid", (_, json) => {
    expect(() => createTokenizer(json)).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });
});
