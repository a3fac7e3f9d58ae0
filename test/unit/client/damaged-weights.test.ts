// Weights that a run finds damaged, in a stage that comes back from the store: over fake workers.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fail } from "../../../src/base/errors.ts";
import { endPages, load, pass, startClock } from "../../support/supervised-page.ts";
import type { Page } from "../../support/supervised-page.ts";

beforeEach(startClock);
afterEach(endPages);

const draw = { prompt: "a circle", seed: 3, previewEvery: 1 } as const;
const say = (content: string) => ({ messages: [{ role: "user", content } as const] });

describe("weights that turn out to be damaged in a run", () => {
  const damage = { runError: fail("weights-corrupt", "A piece has another hash.") };
  const repairs = ({ stored }: Page): number =>
    stored.filter((line) => line.startsWith("repair")).length;

  test.each([0, 1, 2, 3])("are repaired, and the run goes on after %i events", async (at) => {
    const undisturbed = await (await load()).model.generateImage(draw);
    const page = await load({ stopAfter: at, ...damage });
    const run = page.model.generateImage(draw);
    const told: string[] = [];
    const listening = (async () => {
      for await (const { type } of run) told.push(type);
    })();
    await pass(2_000);
    const { images, latents } = await run;
    await listening;
    expect(told).toEqual(["step", "preview", "image"]);
    expect(images[0]?.imageData).toEqual(undisturbed.images[0]?.imageData);
    expect(latents).toEqual(undisturbed.latents);
    expect(repairs(page)).toBe(1);
    expect(page.engines.map(({ isTerminated }) => isTerminated)).toEqual([true, false]);
  });

  test("are repaired once for a run, and once more for the next", async () => {
    const page = await load(...Array.from({ length: 3 }, () => ({ stopAfter: 1, ...damage })));
    const run = page.model.generateText(say("first"));
    const outcome = expect(run).rejects.toMatchObject({ code: "weights-corrupt" });
    await pass(8_000);
    await outcome;
    expect(repairs(page)).toBe(2);
    const next = page.model.generateText(say("next"));
    await pass(20_000);
    expect((await next).text).toBe("next");
    expect(repairs(page)).toBe(3);
  });

  test("are repaired by a later attempt, where the first meets no network", async () => {
    const offline = { loadError: fail("download-failed", "Offline.") };
    const page = await load({ stopAfter: 1, ...damage }, offline);
    const run = page.model.generateText(say("later"));
    await pass(8_000);
    expect((await run).text).toBe("later");
    expect(repairs(page)).toBe(2);
  });
});
