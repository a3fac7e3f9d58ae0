// The bars that f32 must pass on every backend: each stage within 1e-4 of the authors' numbers, pixels within
// one byte after whole runs.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { largestDifference } from "../support/closeness.ts";
import { expectClose, type ParitySubject } from "./compared.ts";
import { compareRun, compareVelocity, type OmniGenGoldens } from "./omnigen-stages.ts";

/** Runs the suite on one checkpoint. */
export function runOmniGenParity({
  checkpoint,
  goldens,
  open,
}: ParitySubject<OmniGenGoldens>): void {
  describe(`OmniGen ${checkpoint} against the authors' code, f32`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());

    test("has the same velocity in every row at every time", async () => {
      for (const compared of await compareVelocity(model.stages, goldens)) expectClose(compared);
    }, 120_000);

    test.each(goldens.json.runs)(
      "draws the same picture: $name",
      async (run) => {
        const { latents, pixels } = await compareRun(model.stages, goldens, run);
        expectClose(latents);
        expect(largestDifference(pixels.actual, pixels.expected)).toBeLessThanOrEqual(1);
      },
      120_000,
    );
  });
}
