// The bars that f32 must pass on every backend: each stage within 1e-4 of the authors' numbers, equal greedy
// tokens, pixels within one byte.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { torchNoise } from "../../src/flow/noise.ts";
import { largestDifference } from "../support/closeness.ts";
import { expectClose, type ParitySubject } from "./compared.ts";
import {
  compareAnswer,
  compareLatents,
  comparePixels,
  compareVelocity,
  type JanusFlowGoldens,
} from "./janus-flow-stages.ts";

/** Runs the suite on one checkpoint. */
export function runJanusFlowParity({
  checkpoint,
  goldens,
  open,
}: ParitySubject<JanusFlowGoldens>): void {
  describe(`JanusFlow ${checkpoint} against the authors' code, f32`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());

    test.each(["oneImage", "twoImages", "twoTurns", "textOnly", "stops"])(
      "answers %s with the same tokens",
      async (name) => {
        const { logits, ids, expectedIds } = await compareAnswer(model.stages, goldens, name);
        expectClose(logits);
        expect(ids).toEqual(expectedIds);
      },
    );

    test("has the same velocity at every time, for prompt, no prompt and negative prompt", async () => {
      for (const compared of await compareVelocity(model.stages, goldens)) expectClose(compared);
    });

    test.each([
      { steps: 1, guidance: 2 },
      { steps: 4, guidance: 5 },
      { steps: 10, guidance: 2 },
      { steps: 10, guidance: 5 },
      { steps: 4, guidance: 5, isNegative: true },
    ])("has the same latents after $steps steps, guidance $guidance", async (asked) => {
      expectClose(await compareLatents(model.stages, goldens, asked));
    });

    test("draws the same pixels", async () => {
      const { actual, expected } = await comparePixels(model.stages, goldens);
      expect(largestDifference(actual, expected)).toBeLessThanOrEqual(1);
    });

    test("starts from the noise that torch makes of the seed", () => {
      const golden = goldens.tensors.get("generate.noise");
      const noise = torchNoise(goldens.json.generate.noiseSeed, 1, golden?.shape ?? []);
      expect(largestDifference(noise, golden?.values ?? [])).toBeLessThan(1e-5);
    });
  });
}
