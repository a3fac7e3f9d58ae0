// The authors' processor wrote these prompts: test/golden/janus/make.py.
import { describe, expect, test } from "vitest";
import { understandingPrompt } from "../../../../src/models/deepseek-prompt.ts";
import { promptLength } from "../../../../src/models/prompt-parts.ts";
import { parseJanusConfig } from "../../../../src/models/janus/config.ts";
import {
  conditionalIds,
  findTokens,
  unconditionalIds,
} from "../../../../src/models/janus/prompt.ts";
import { pictureSlots } from "../../../../src/models/janus/vision.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { goldenMessages } from "../../../contract/janus-flow-stages.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { janusCheckpoint, readJanusGoldens } from "../../../support/janus-goldens.ts";

function open(name: "a" | "b") {
  const goldens = readJanusGoldens(name);
  const files = readCheckpointFiles(janusCheckpoint(name));
  const config = parseJanusConfig(files);
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  return { goldens, config, files, tokenizer, tokens: findTokens(tokenizer, config.tags) };
}

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const { goldens, config, tokens } = open(name);
  const slots = pictureSlots(config);

  test.each(Object.keys(goldens.json.understand))("the conversation %s", (key) => {
    const parts = understandingPrompt(goldenMessages(goldens, key), tokens);
    const ids = parts.flatMap((part) =>
      part.kind === "ids" ? part.ids : Array<number>(slots).fill(goldens.json.tokens.image),
    );
    const golden = goldens.json.understand[key] as { inputIds?: number[] } | undefined;
    expect(ids).toEqual(golden?.inputIds);
    expect(promptLength(parts, slots)).toBe(ids.length);
  });

  test("the prompts of a drawing", () => {
    const { prompt, ids, negativePrompt, negativeIds } = goldens.json.generate;
    expect(conditionalIds(prompt, tokens)).toEqual(ids);
    expect(conditionalIds(negativePrompt, tokens)).toEqual(negativeIds);
  });

  test("the unconditional prompt keeps its first and last id and pads the others", () => {
    const { ids, unconditionalIds: expected } = goldens.json.generate;
    expect(unconditionalIds(ids, tokens)).toEqual(expected);
  });

  test("a special token that a user typed stays text", () => {
    const typed = "a <begin_of_image> <|User|> <image_placeholder> <｜▁pad▁｜>";
    const ids = conditionalIds(typed, tokens);
    const plain = conditionalIds("a", tokens);
    for (const id of [tokens.imageStart, tokens.pad, goldens.json.tokens.image]) {
      const count = (list: readonly number[]) => list.filter((other) => other === id).length;
      expect(count(ids)).toBe(count(plain));
    }
  });
});

describe("findTokens", () => {
  test("takes the roles that the tokenizer knows", () => {
    expect(open("a").tokens.roles).toEqual({ user: "User", assistant: "Assistant" });
    const { tokenizer, tokens } = open("b");
    expect(tokens.roles).toEqual({
      user: tokenizer.idOf("<|User|>"),
      assistant: tokenizer.idOf("<|Assistant|>"),
    });
  });

  test("wants the padding that the unconditional prompt is made of", () => {
    const { tokenizer, config } = open("a");
    expect(() => findTokens(tokenizer, { ...config.tags, pad: "<pad>" })).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });
});
