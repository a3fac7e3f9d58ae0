// The bars that f32 must pass on every backend: each stage within 1e-4 of the authors' numbers, equal greedy
// tokens and codes, pixels within one byte.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { largestDifference } from "../support/closeness.ts";
import { expectClose, type Compared, type ParitySubject } from "./compared.ts";
import { compareAnswer } from "./janus-flow-stages.ts";
import {
  compareFixedPicture,
  compareGreedyPicture,
  compareGuided,
  compareRows,
  type JanusGoldens,
} from "./janus-stages.ts";

/** Runs the suite on one checkpoint. */
export function runJanusParity({ checkpoint, goldens, open }: ParitySubject<JanusGoldens>): void {
  describe(`Janus ${checkpoint} against the authors' code, f32`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());

    test.each(Object.keys(goldens.json.understand))(
      "answers %s with the same tokens",
      async (name) => {
        const { logits, ids, expectedIds } = await compareAnswer(model.stages, goldens, name);
        expectClose(logits);
        expect(ids).toEqual(expectedIds);
      },
    );

    test("has the same logits of codes for prompt, padding and negative prompt", async () => {
      for (const compared of await compareRows(model.stages, goldens)) expectClose(compared);
    });

    test("has the same guided logits along fixed codes", async () => {
      expectClose(await compareGuided(model.stages, goldens));
    });

    test("picks the same codes and paints the same pixels", async () => {
      const { codes, pixels } = await compareGreedyPicture(model.stages, goldens);
      expect(Array.from(codes.actual)).toEqual(Array.from(codes.expected));
      expectSamePixels(pixels);
    });

    test("paints the same pixels of any codes", async () => {
      expectSamePixels(await compareFixedPicture(model.stages, goldens));
    });
  });
}

function expectSamePixels({ stage, actual, expected }: Compared): void {
  expect(largestDifference(actual, expected), stage).toBeLessThanOrEqual(1);
}
