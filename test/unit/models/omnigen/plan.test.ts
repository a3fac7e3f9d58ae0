import { describe, expect, test } from "vitest";
import type { DrawRequest } from "../../../../src/models/family.ts";
import { parseOmniGenConfig } from "../../../../src/models/omnigen/config.ts";
import { drawDefaults, planDrawing } from "../../../../src/models/omnigen/plan.ts";
import { createTokenizer } from "../../../../src/tokens/tokenizer.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { omniGenFolder } from "../../../support/omnigen-goldens.ts";

const files = readCheckpointFiles(new URL("checkpoint/", omniGenFolder("a")));
const config = parseOmniGenConfig(files, new Set());
const tokenizer = createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);

const picture = (width: number, height: number) => ({
  width,
  height,
  data: new Uint8ClampedArray(width * height * 4),
});
const request: DrawRequest = {
  prompt: "a fox",
  images: [],
  width: 64,
  height: 48,
  steps: 2,
  guidance: 2.5,
  seed: 0,
  count: 1,
};
const plan = (change: Partial<DrawRequest> = {}) =>
  planDrawing(config, tokenizer, { ...request, ...change });
const weights = (change: Partial<DrawRequest>) =>
  plan(change).rows.map(({ weight }) => Number(weight.toFixed(6)));

describe("drawDefaults", () => {
  test("are the authors' numbers from text", () => {
    const expected = { width: 1024, height: 1024, steps: 50, guidance: 2.5 };
    expect(drawDefaults(config, [])).toEqual(expected);
  });

  test("are of the size that config.json tells in latents", () => {
    const small = { ...config, defaultSize: 64 };
    expect(drawDefaults(small, [])).toMatchObject({ width: 64, height: 64 });
    expect(drawDefaults(small, [picture(128, 32)])).toMatchObject({ width: 128, height: 32 });
  });

  test("keep the size of a single picture, in whole tokens and at most 1024 long", () => {
    expect(drawDefaults(config, [picture(53, 37)])).toMatchObject({ width: 48, height: 32 });
    const wide = drawDefaults(config, [picture(2048, 512)]);
    expect(wide).toMatchObject({ width: 1024, height: 256, imageGuidance: 1.6 });
  });

  test("are 1024 pixels for several pictures", () => {
    const two = [picture(53, 37), picture(20, 64)];
    expect(drawDefaults(config, two)).toMatchObject({ width: 1024, height: 1024 });
  });
});

describe("planDrawing", () => {
  test("weighs two rows from text and three with pictures", () => {
    expect(weights({})).toEqual([2.5, -1.5]);
    const images = [picture(32, 32)];
    expect(weights({ images, imageGuidance: 1.6 })).toEqual([2.5, -0.9, -0.6]);
  });

  test("leaves out rows of weight 0", () => {
    const images = [picture(32, 32)];
    expect(weights({ guidance: 1 })).toEqual([1]);
    expect(weights({ images, imageGuidance: 2.5 })).toEqual([2.5, -1.5]);
    expect(weights({ images, guidance: 1, imageGuidance: 1 })).toEqual([1]);
    expect(weights({ images, imageGuidance: 1 })).toEqual([2.5, -1.5]);
  });

  test("pads prompts to whole steps of slots", () => {
    expect(plan().prefix % 32).toBe(0);
    const images = [picture(1024, 32)];
    expect(() => plan({ images })).toThrow(/too long and narrow/);
    expect(plan({ images: [picture(384, 384)] }).prefix).toBeGreaterThan(576);
  });

  test.each([{ width: 40 }, { height: 0 }, { width: 400 }, { width: Number.NaN }, { steps: 0 }])(
    "refuses %j",
    (change) => {
      expect(() => plan(change)).toThrow(RangeError);
    },
  );

  test("refuses latents of another length", () => {
    expect(() => plan({ latents: new Float32Array(3) })).toThrow(RangeError);
  });
});
