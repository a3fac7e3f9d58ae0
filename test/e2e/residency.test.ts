// A model of several stages on a device that cannot hold all of them: they take turns, and nobody can tell from the
// pictures.
import { join } from "node:path";
import type { Page } from "playwright";
import { expect, test } from "vitest";
import { withPage } from "../support/open-page.mjs";
import { ROOT } from "../support/set-up.mjs";
import { recolourings } from "./held-out-edits.ts";

/** Bytes of weights: each of the core and the two decoders fits, no two of them do. */
const BUDGET = 2_400_000;

test("the stages of tiny-nexusgen take turns and make the same pixels", () => {
  const folders = { "/model/": join(ROOT, "demo/models/tiny-nexusgen") };
  return withPage("api", folders, async ({ page }) => {
    const together = await makeAll(page, {});
    const inTurns = await makeAll(page, { memoryBudgetBytes: BUDGET });
    expect(together.resident.every(({ length }) => length === together.stages.length)).toBe(true);
    for (const stages of inTurns.resident)
      expect(stages.length).toBeLessThan(together.stages.length);
    expect(inTurns.resident[0]).not.toEqual(inTurns.resident[1]);
    expect(inTurns.weightBytes).toBeLessThanOrEqual(BUDGET);
    expect(together.weightBytes).toBeGreaterThan(BUDGET);
    expect(inTurns.pictures).toEqual(together.pictures);
  });
});

/** A drawing and an edit, and which stages were on the device after each. */
async function makeAll(page: Page, more: { memoryBudgetBytes?: number }) {
  const options = { backend: "wasm", quantization: "q8", ...more } as const;
  await page.evaluate((asked) => globalThis.application?.load("./model/", asked), options);
  const [about] = recolourings("nexus-gen", 1);
  if (!about) throw new Error("no edit");
  const resident: string[][] = [];
  const note = async (): Promise<void> => void resident.push((await stagesOf(page)).resident);
  const drawing = await page.evaluate(() =>
    globalThis.application?.draw("a red star in row two column five", { seed: 3 }),
  );
  await note();
  const edit = await page.evaluate(
    ({ prompt, before }) => globalThis.application?.edit(prompt, before, { seed: 3 }),
    about,
  );
  await note();
  const { stages, weightBytes } = await stagesOf(page);
  return { pictures: [drawing, edit], resident, stages, weightBytes };
}

async function stagesOf(page: Page) {
  const info = await page.evaluate(() => globalThis.application?.info());
  const stages = info?.stages ?? [];
  const onDevice = stages.filter(({ isResident }) => isResident);
  return {
    stages: stages.map(({ name }) => name),
    resident: onDevice.map(({ name }) => name),
    weightBytes: onDevice.reduce((sum, stage) => sum + stage.weightBytes, 0),
  };
}
