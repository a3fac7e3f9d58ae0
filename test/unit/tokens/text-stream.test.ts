import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { createTextStream } from "../../../src/tokens/text-stream.ts";
import { createTokenizer, type Tokenizer } from "../../../src/tokens/tokenizer.ts";
import { pseudoRandom } from "../../support/damage-json.ts";

interface Golden {
  readonly cases: { readonly text: string }[];
  readonly pieces: {
    readonly text: string | null;
    readonly ids: number[];
    readonly texts: string[];
  }[];
}

const GOLDEN = new URL("../../golden/", import.meta.url);

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, GOLDEN), "utf8"));
}

function deltas(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const stream = createTextStream(tokenizer);
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

/** A tokenizer of the other great kind: spaces are letters, unknown characters are spelled in bytes. */
function byteFallback(): Tokenizer {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, "▁", "a", "b", "▁a", "▁b"];
  return createTokenizer({
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ["▁ a", "▁ b"],
      unk_token: "<unk>",
      byte_fallback: true,
      fuse_unk: true,
    },
    added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
  });
}

describe.each(["a", "b"])("createTextStream of checkpoint %s", (name) => {
  const { cases, pieces } = readJson(`tokenizer/${name}.json`) as Golden;
  const tokenizer = createTokenizer(readJson(`janus-flow/${name}/checkpoint/tokenizer.json`));

  test.each(pieces)("grows as Python's decoded prefixes do: $text", ({ ids, texts }) => {
    const stream = createTextStream(tokenizer);
    let shown = "";
    for (const [i, id] of ids.entries()) {
      shown += stream.push(id);
      const decoded = texts[i] ?? "";
      expect(decoded.startsWith(shown)).toBe(true);
      // what is held back is at most one unfinished character
      expect(decoded.slice(shown.length)).toMatch(/^\uFFFD{0,3}$/);
    }
    expect(shown + stream.end()).toBe(texts.at(-1));
  });

  test("adds up to the decoded text", () => {
    for (const { text } of cases) {
      const ids = tokenizer.encode(text);
      expect(deltas(tokenizer, ids).join("")).toBe(tokenizer.decode(ids));
    }
  });

  test("adds up to the decoded text for ids in no order at all", () => {
    const next = pseudoRandom(1);
    for (let round = 0; round < 300; round++) {
      const ids = Array.from({ length: next(60) }, () => next(tokenizer.vocabularySize + 5));
      expect(deltas(tokenizer, ids).join("")).toBe(tokenizer.decode(ids));
    }
  });

  test("never shows half a character", () => {
    const ids = tokenizer.encodeText("é今天😀👨‍👩‍👧".repeat(20));
    const shown = deltas(tokenizer, ids);
    expect(shown.join("")).toBe("é今天😀👨‍👩‍👧".repeat(20));
    expect(shown.every((delta) => !delta.includes("\uFFFD"))).toBe(true);
  });
});

describe("createTextStream", () => {
  const tokenizer = createTokenizer(readJson("janus-flow/a/checkpoint/tokenizer.json"));

  test("shows whole words at once and nothing at the end", () => {
    const ids = tokenizer.encode("The image shows a lake.");
    const shown = deltas(tokenizer, ids);
    expect(shown.slice(0, -1).every((delta) => delta !== "")).toBe(true);
    expect(shown.at(-1)).toBe("");
  });

  test("does not wait for ever for a character that never ends", () => {
    const [broken = 0] = tokenizer.encodeText("今");
    const shown = deltas(
      tokenizer,
      Array.from({ length: 40 }, () => broken),
    );
    expect(shown.slice(0, -1).join("").length).toBeGreaterThan(35);
    expect(shown.join("")).toHaveLength(40);
  });

  test("shows what was cut off in the end", () => {
    const ids = tokenizer.encodeText("a今").slice(0, -1);
    expect(deltas(tokenizer, ids)).toEqual(["a", ...ids.slice(1).map(() => ""), "\uFFFD"]);
  });
});

describe("createTextStream over a byte-fallback vocabulary", () => {
  const tokenizer = byteFallback();

  test.each(["a b a", "今天 a 😀b", "今".repeat(30), "a ".repeat(40), "  a", "é".repeat(17)])(
    "shows %j as it is decoded",
    (text) => {
      const ids = tokenizer.encodeText(text);
      const shown = deltas(tokenizer, ids);
      expect(shown.join("")).toBe(text);
      expect(shown.every((delta) => !delta.includes("\uFFFD"))).toBe(true);
    },
  );

  test("shows each character when its last byte is there", () => {
    const shown = deltas(tokenizer, tokenizer.encodeText("今天"));
    expect(shown.filter((delta) => delta !== "")).toEqual(["今", "天"]);
  });

  test("goes on after bytes that are no character", () => {
    const broken = tokenizer.requireId("<0xE4>");
    const ids = [...tokenizer.encodeText("今"), broken, ...tokenizer.encodeText("a b")];
    const shown = deltas(tokenizer, ids).join("");
    expect(shown.startsWith("今")).toBe(true);
    expect(shown.endsWith(" a b")).toBe(true);
  });
});
