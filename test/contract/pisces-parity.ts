// The bars that f32 must pass on every backend: each stage within 1e-4 of the libraries' numbers, equal greedy
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
  compareVectors,
  compareVelocity,
  type PiscesGoldens,
} from "./pisces-stages.ts";

/** Runs the suite on one checkpoint. */
export function runPiscesParity({ checkpoint, goldens, open }: ParitySubject<PiscesGoldens>): void {
  describe(`Pisces ${checkpoint} against transformers and diffusers, f32`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 240_000);
    afterAll(() => model?.dispose());

    test.each(["oneImage", "twoImages", "twoTurns", "textOnly"])(
      "answers %s with the same tokens",
      async (name) => {
        const { logits, ids, expectedIds } = await compareAnswer(model.stages, goldens, name);
        expectClose(logits);
        expect(ids).toEqual(expectedIds);
      },
    );

    test("emits the same vectors for prompt, empty caption and negative prompt", async () => {
      for (const compared of await compareVectors(model.stages, goldens)) expectClose(compared);
    });

    test("reads back nothing in its loops, and emits the empty caption's vectors once", async () => {
      const { runtime } = model.stages;
      await compareLatents(model.stages, goldens, { steps: 1 });
      const before = runtime.counters.readbacks;
      await compareLatents(model.stages, goldens, { steps: 1 });
      // Whether the vectors are numbers, the latents, what the steps tell, the picture, and on a GPU the prompt's
      // length, which the operator wants on the CPU.
      expect(runtime.counters.readbacks - before).toBe(runtime.backend === "webgpu" ? 5 : 4);
    });

    test("predicts the same noise at every time, with the prompt and without", async () => {
      for (const compared of await compareVelocity(model.stages, goldens)) expectClose(compared);
    });

    test.each([
      { steps: 1 },
      { steps: 4 },
      { steps: 10 },
      { steps: 4, isNegative: true },
      { steps: 4, guidance: 1 },
    ])("has the same latents: $steps steps $isNegative $guidance", async (asked) => {
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
