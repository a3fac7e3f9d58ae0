// The bars that f32 must pass on every backend: each stage within 1e-4 of the authors' numbers, pixels within
// one byte after whole runs.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { largestDifference, relativeError } from "../support/closeness.ts";
import { compareRun, compareVelocity, type OmniGenGoldens } from "./omnigen-stages.ts";

const BAR = 1e-4;

/** What the suite needs of a backend. */
export interface OmniGenSubject {
  readonly checkpoint: string;
  readonly goldens: OmniGenGoldens;
  open: () => Promise<LoadedModel>;
}

/** Runs the suite on one checkpoint. */
export function runOmniGenParity({ checkpoint, goldens, open }: OmniGenSubject): void {
  describe(`OmniGen ${checkpoint} against the authors' code, f32`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());

    test("has the same velocity in every row at every time", async () => {
      for (const { stage, actual, expected } of await compareVelocity(model.stages, goldens)) {
        expect(relativeError(actual, expected), stage).toBeLessThan(BAR);
      }
    }, 120_000);

    test.each(goldens.json.runs)(
      "draws the same picture: $name",
      async (run) => {
        const { latents, pixels } = await compareRun(model.stages, goldens, run);
        expect(relativeError(latents.actual, latents.expected)).toBeLessThan(BAR);
        expect(largestDifference(pixels.actual, pixels.expected)).toBeLessThanOrEqual(1);
      },
      120_000,
    );
  });
}
