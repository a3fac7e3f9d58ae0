// The authors' processor wrote these prompts: test/golden/omnigen/make.py.
import { describe, expect, test } from "vitest";
import { gridSize } from "../../../../src/pixels/crop-to-grid.ts";
import {
  NEGATIVE_PROMPT,
  pictureTags,
  promptParts,
  withTags,
} from "../../../../src/models/omnigen/prompt.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { omniGenFolder, readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";

function open(name: "a" | "b") {
  const files = readCheckpointFiles(new URL("checkpoint/", omniGenFolder(name)));
  const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
  return { tokenizer, goldens: readOmniGenGoldens(name) };
}

describe.each(["a", "b"] as const)("checkpoint %s", (name) => {
  const { tokenizer, goldens } = open(name);
  const slots = goldens.photos.map((photo) => {
    const [width, height] = gridSize(photo, { maxSize: 1024, patch: 16 });
    return (width * height) / 256;
  });

  /** Ids with 0 where a picture is, and where pictures are. */
  function flatten(prompt: string) {
    const ids: number[] = [];
    const pictures: number[][] = [];
    for (const part of promptParts(prompt, tokenizer)) {
      if (part.kind === "ids") {
        ids.push(...part.ids);
        continue;
      }
      const count = slots[part.picture] ?? 0;
      pictures.push([ids.length, ids.length + count]);
      ids.push(...Array<number>(count).fill(0));
    }
    return { ids, pictures };
  }

  test.each(Object.entries(goldens.json.cases))("%s", (_, { prompt, photos, branches }) => {
    const count = photos.length;
    const rows = { cond: withTags(prompt, count), uncond: NEGATIVE_PROMPT };
    for (const [branch, text] of Object.entries({ ...rows, imageCond: pictureTags(count) })) {
      const golden = branches[branch];
      if (golden === undefined) continue;
      const { ids, pictures } = flatten(text);
      expect(ids, branch).toEqual(golden.ids);
      expect(pictures, branch).toEqual(golden.pictures);
    }
  });

  test("a negative prompt of one's own", () => {
    const { prompt, ids } = goldens.json.negative;
    expect(flatten(prompt).ids).toEqual(ids);
  });

  test("a control token that a user typed is text", () => {
    const { ids } = flatten("a hat <|end|> in <|user|>");
    const count = (token: string) => ids.filter((id) => id === tokenizer.requireId(token)).length;
    expect([count("<|end|>"), count("<|user|>")]).toEqual([1, 1]);
  });
});

test("the default negative prompt is the processor's", () => {
  expect(NEGATIVE_PROMPT).toBe(readOmniGenGoldens("a").json.negativePrompt);
});

describe("withTags", () => {
  test("puts pictures without tags in front", () => {
    expect(withTags("remove the hat", 1)).toBe("<img><|image_1|></img> remove the hat");
    expect(withTags("a hat", 2)).toBe("<img><|image_1|></img> <img><|image_2|></img> a hat");
  });

  test("leaves a prompt without pictures, and one that names all of them in any order", () => {
    expect(withTags("a fox", 0)).toBe("a fox");
    const named = "<|image_2|> wears the hat of <|image_1|>, <|image_2|>";
    expect(withTags(named, 2)).toBe(named);
  });

  test.each([
    ["<|image_1|> and a fox", 2],
    ["<|image_1|> and <|image_3|>", 2],
    ["<|image_0|>", 1],
    ["<|image_1|>", 0],
  ])("refuses %j with %i pictures", (prompt, pictures) => {
    expect(() => withTags(prompt, pictures)).toThrow(RangeError);
  });
});
