// The library wrote these sequences: test/golden/transfusion/make.py.
import { describe, expect, test } from "vitest";
import { parseTransfusionConfig } from "../../../../src/models/transfusion/config.ts";
import { slotGrid } from "../../../../src/models/transfusion/latents.ts";
import type { PromptPart } from "../../../../src/models/prompt-parts.ts";
import {
  conversationPrompt,
  drawingPrompt,
  numberTokens,
  vocabularySize,
} from "../../../../src/models/transfusion/prompt.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { goldenMessages, goldenPicture } from "../../../contract/transfusion-stages.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { readTransfusionGoldens, transfusionFolder } from "../../../support/transfusion-goldens.ts";

function open(name: "a" | "b") {
  const files = readCheckpointFiles(new URL("checkpoint/", transfusionFolder(name)));
  const config = parseTransfusionConfig(files);
  const tokens = numberTokens(createTokenizer(files["tokenizer.json"]), config.textTokens);
  return { goldens: readTransfusionGoldens(name), config, tokens };
}

// The library keeps texts apart as they were given; neighbours are one here.
function joined(parts: readonly (readonly number[] | null)[]): (number | "picture")[] {
  return parts.flatMap((ids): (number | "picture")[] => (ids === null ? ["picture"] : [...ids]));
}

function written(parts: readonly PromptPart[]): (number | "picture")[] {
  return joined(parts.map((part) => (part.kind === "ids" ? part.ids : null)));
}

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const { goldens, config, tokens } = open(name);
  const grid = slotGrid(config, config.defaultGrid);
  const grids = { given: grid, drawn: grid };

  test("numbers its own ids behind the tokenizer's", () => {
    const { tokenizer: _, ...ids } = tokens;
    expect(ids).toEqual(goldens.json.tokens);
    expect(vocabularySize(config)).toBe(goldens.tensors.get("write.text.logits")?.values.length);
  });

  test.each(Object.keys(goldens.json.write))("conversationPrompt: %s", (key) => {
    const expected = joined(goldens.json.write[key]?.ids ?? []);
    expect(written(conversationPrompt(goldenMessages(goldens, key), tokens, grid))).toEqual(
      expected,
    );
  });

  test("drawingPrompt, from text and from a picture", () => {
    const { prompt, ids, negativePrompt, negativeIds, editIds } = goldens.json.draw;
    expect(written(drawingPrompt(prompt, [], tokens, grids))).toEqual(ids);
    expect(written(drawingPrompt(negativePrompt, [], tokens, grids))).toEqual(negativeIds);
    const edit = drawingPrompt(prompt, [goldenPicture(goldens)], tokens, grids);
    expect(written(edit)).toEqual(joined(editIds));
  });
});

test("refuses a conversation that ends with the assistant", () => {
  const { tokens } = open("a");
  const message = { role: "assistant", content: [{ type: "text", text: "Hi" }] } as const;
  expect(() => conversationPrompt([message], tokens, [1, 1])).toThrow(TypeError);
});

test("refuses a tokenizer with ids that are the model's own", () => {
  const { tokens } = open("a");
  expect(() => numberTokens(tokens.tokenizer, 100)).toThrow(
    expect.objectContaining({ code: "checkpoint-invalid" }),
  );
});
