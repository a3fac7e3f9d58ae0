// The bars that f32 must pass on every backend: each stage within 1e-4 of the authors' numbers, equal greedy
// tokens, pixels within one byte.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { torchNoise } from "../../src/flow/noise.ts";
import { largestDifference } from "../support/closeness.ts";
import type { OpenNexusGen } from "../support/open-nexus-gen.ts";
import { expectClose, type ParitySubject } from "./compared.ts";
import {
  compareAnswer,
  compareConversation,
  compareFeatures,
  compareImagined,
  compareInterleaved,
  compareRun,
  compareSigmas,
  compareVelocity,
} from "./nexus-gen-stages.ts";
import type { NexusGenGoldens } from "./nexus-gen-case.ts";

/** Runs the suite on one checkpoint. */
export function runNexusGenParity({
  checkpoint,
  goldens,
  open,
}: ParitySubject<NexusGenGoldens, OpenNexusGen>): void {
  describe(`Nexus-Gen ${checkpoint} against the authors' code, f32`, () => {
    let model: OpenNexusGen;
    beforeAll(async () => {
      model = await open();
    }, 180_000);
    afterAll(() => model?.dispose());

    test.each([0, 1])("sees photo %d alike", async (photo) => {
      expectClose(await compareFeatures(model, goldens, photo));
    });

    test.each(["oneImage", "twoImages", "twoTurns", "textOnly"])(
      "reads %s alike: ids, positions, hidden states",
      async (name) => {
        const { ids, expectedIds, compared } = await compareConversation(model, goldens, name);
        expect(ids).toEqual(expectedIds);
        compared.forEach(expectClose);
      },
    );

    test.each(["oneImage", "twoImages", "twoTurns", "textOnly"])(
      "answers %s with the same tokens",
      async (name) => {
        const { logits, ids, expectedIds } = await compareAnswer(model, goldens, name);
        expectClose(logits);
        expect(ids).toEqual(expectedIds);
      },
    );

    test.each(["draw", "edit"] as const)("imagines the same picture (%s)", async (task) => {
      const { ids, expectedIds, compared } = await compareImagined(model, goldens, task);
      expect(ids).toEqual(expectedIds);
      compared.forEach(expectClose);
    });

    test.each(["draw", "edit"] as const)("has the same velocity (%s)", async (task) => {
      (await compareVelocity(model, goldens, task)).forEach(expectClose);
    });

    test.each([
      { task: "draw", guidance: 1 },
      { task: "draw", guidance: 3 },
      { task: "edit", guidance: 1 },
    ] as const)(
      "paints the same picture ($task, guidance $guidance)",
      async ({ task, guidance }) => {
        const { latents, pixels } = await compareRun(model, goldens, task, guidance);
        expectClose(latents);
        if (pixels === undefined) return;
        expect(largestDifference(pixels.actual, pixels.expected)).toBeLessThanOrEqual(1);
      },
    );

    test("goes on with the same words behind a picture", async () => {
      const { ids, expectedIds } = await compareInterleaved(model, goldens);
      expect(ids).toEqual(expectedIds);
    });

    test("has the same schedule, and starts from the noise that torch makes of the seed", () => {
      const { actual, expected } = compareSigmas(goldens);
      expect(largestDifference(actual, expected)).toBeLessThan(1e-6);
      const golden = goldens.tensors.get("noise");
      const noise = torchNoise(goldens.json.noiseSeed, 1, golden?.shape ?? []);
      expect(largestDifference(noise, golden?.values ?? [])).toBeLessThan(1e-5);
    });
  });
}
