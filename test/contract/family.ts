// What every family must do, whatever it is made of. A family that cannot draw or write skips those laws.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DrawResult } from "../../src/base/events.ts";
import type { EditRequest, TextRequest } from "../../src/base/requests.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { generateText } from "../../src/tasks/generate-text.ts";

/** A family on a backend. */
export interface FamilySubject {
  readonly name: string;
  /** With a budget: stages that do not fit together take turns. */
  open: (memoryBudgetBytes?: number) => Promise<LoadedModel>;
}

const DRAW: EditRequest = {
  prompt: "a red fox",
  seed: 5,
  count: 1,
  steps: 3,
  previewEvery: 0,
  images: [],
};
const WRITE: TextRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: "What is a fox?" }] }],
  maxTokens: 6,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
};

/** Runs the contract on one family. */
export function runFamilyContract({ name, open }: FamilySubject): void {
  describe(`family contract: ${name}`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());
    const draw = (change: Partial<EditRequest> = {}, signal?: AbortSignal): Promise<DrawResult> =>
      finish(drawImages(model.stages, { ...DRAW, ...change }, signal));
    const write = (change: Partial<TextRequest> = {}, signal?: AbortSignal) =>
      finish(generateText(model.stages, { ...WRITE, ...change }, signal));

    test("the same seed draws the same bytes, another seed does not", async () => {
      const [first, again, other] = [await draw(), await draw(), await draw({ seed: 6 })];
      expect(again.latents).toEqual(first.latents);
      expect(again.pictures[0]?.data).toEqual(first.pictures[0]?.data);
      expect(other.latents).not.toEqual(first.latents);
    });

    test("the prompt matters, and so do guidance and the negative prompt", async () => {
      const plain = await draw();
      for (const change of [{ prompt: "two cats" }, { guidance: 7 }, { negativePrompt: "fox" }]) {
        expect((await draw(change)).latents, JSON.stringify(change)).not.toEqual(plain.latents);
      }
    });

    test("guidance 1 is the conditional velocity alone: a negative prompt changes nothing", async () => {
      const alone = await draw({ guidance: 1 });
      const negative = await draw({ guidance: 1, negativePrompt: "cat" });
      expect(negative.latents).toEqual(alone.latents);
    });

    test("a picture that follows another is the one it would be alone", async () => {
      const alone = await draw({ prompt: "two cats" });
      await draw({ prompt: "a much longer prompt about a red fox that sits in the snow at night" });
      expect((await draw({ prompt: "two cats" })).latents).toEqual(alone.latents);
    });

    test("several pictures take the noise of one generator after the other", async () => {
      const both = await draw({ count: 2 });
      const first = both.latents.length / 2;
      expect(both.pictures).toHaveLength(2);
      expect(both.latents.slice(first)).not.toEqual(both.latents.slice(0, first));
    });

    test("an aborted drawing rejects with the signal's reason and the next one is right", async () => {
      const expected = await draw();
      const controller = new AbortController();
      const reason = new Error("enough");
      const task = drawImages(model.stages, DRAW, controller.signal);
      await task.next();
      controller.abort(reason);
      await expect(finish(task)).rejects.toBe(reason);
      expect((await draw()).latents).toEqual(expected.latents);
    });

    test("greedy text is deterministic and reports its tokens", async () => {
      const [first, again] = [await write(), await write()];
      expect(again.text).toBe(first.text);
      expect(first.usage.promptTokens).toBeGreaterThan(0);
      expect(first.usage.completionTokens).toBeLessThanOrEqual(WRITE.maxTokens);
    });

    test("sampled text repeats with its seed", async () => {
      const sampled = { temperature: 1.5, seed: 11, maxTokens: 12 };
      expect((await write(sampled)).text).toBe((await write(sampled)).text);
    });

    test("text and pictures do not disturb each other", async () => {
      const [picture, text] = [await draw(), await write()];
      expect((await draw()).latents).toEqual(picture.latents);
      expect((await write()).text).toBe(text.text);
    });

    test("a size that the model has no grid for is a RangeError", async () => {
      await expect(draw({ width: 7 })).rejects.toThrow(RangeError);
    });

    test("draws and writes the same with memory for one stage at a time", async () => {
      const [picture, text] = [await draw(), await write()];
      const sizes = model.info().stages.map(({ weightBytes }) => weightBytes);
      const small = await open(Math.max(...sizes));
      const isResident = () => small.info().stages.filter((stage) => stage.isResident).length;
      for (let round = 0; round < 2; round++) {
        expect((await finish(drawImages(small.stages, DRAW))).latents).toEqual(picture.latents);
        expect((await finish(generateText(small.stages, WRITE))).text).toBe(text.text);
        expect(isResident()).toBeLessThan(Math.max(2, sizes.length));
      }
      await small.dispose();
    });

    test("memory does not grow with drawings and answers", async () => {
      await draw();
      await write();
      const before = model.info().tensorBytes;
      for (let run = 0; run < 3; run++) {
        await draw({ seed: run });
        await write({ seed: run });
      }
      expect(model.info().tensorBytes).toBe(before);
    });
  });
}

async function finish<Event, Result>(task: AsyncGenerator<Event, Result>): Promise<Result> {
  let next = await task.next();
  while (!next.done) next = await task.next();
  return next.value;
}
