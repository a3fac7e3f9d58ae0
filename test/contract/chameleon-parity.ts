// The bars that f32 must pass on every backend: each stage within 1e-4 of the reference's numbers, equal greedy
// tokens and codes, pixels within one byte.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { largestDifference } from "../support/closeness.ts";
import { expectClose, type ParitySubject } from "./compared.ts";
import {
  compareAnswer,
  compareFullContext,
  compareGreedyPicture,
  compareGuided,
  compareInterleaved,
  type ChameleonGoldens,
} from "./chameleon-stages.ts";

/** Runs the suite on one checkpoint. */
export function runChameleonParity({
  checkpoint,
  goldens,
  open,
}: ParitySubject<ChameleonGoldens>): void {
  describe(`${checkpoint} against the reference, f32`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());

    test.each(Object.keys(goldens.json.text))("answers %s with the same tokens", async (name) => {
      const answer = await compareAnswer(model.stages, goldens, name);
      expect(answer.promptTokens).toBe(goldens.json.text[name]?.ids.length);
      expectClose(answer.logits);
      expect(answer.ids).toEqual(answer.expectedIds);
    });

    if (goldens.json.draw === undefined) {
      test("says what is missing where it cannot draw", async () => {
        expect(model.info().capabilities).toMatchObject({
          generateText: true,
          generateImage: false,
        });
        const request = { prompt: "a fox", images: [], seed: 0, count: 1, previewEvery: 0 };
        await expect(drawImages(model.stages, request).next()).rejects.toMatchObject({
          code: "unsupported-model",
          message: expect.stringMatching(/model\.vqmodel\.decoder/) as unknown,
        });
      });
      return;
    }

    describe.each(Object.keys(goldens.json.draw))("drawing %s", (name) => {
      test("has the same guided logits along the reference's codes", async () => {
        expectClose(await compareGuided(model.stages, goldens, name));
      });

      test("has the same logits with one context", async () => {
        expectClose(await compareFullContext(model.stages, goldens, name));
      });

      test("picks the same codes and paints the same pixels", async () => {
        const { ids, pixels } = await compareGreedyPicture(model.stages, goldens, name);
        expect(ids.actual).toEqual(ids.expected);
        expect(largestDifference(pixels.actual, pixels.expected)).toBeLessThanOrEqual(1);
      });
    });

    test("goes on with text behind a picture that it began by itself", async () => {
      const { actual, expected } = await compareInterleaved(model.stages, goldens);
      expect(actual).toEqual(expected);
    });
  });
}
