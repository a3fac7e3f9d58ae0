// What every family must do, whatever it is made of: the laws of each task that it has.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Capabilities, EditRequest } from "../../src/base/requests.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import type { Stages } from "../../src/models/family.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import {
  ASKED,
  callsOn,
  checkered,
  drawingOf,
  finish,
  WRITES_AND_DRAWS,
  type Calls,
  type FamilySubject,
} from "./family-calls.ts";
import { poisonLaws } from "./poisoned.ts";

/** Runs the contract on one family. */
export function runFamilyContract(subject: FamilySubject): void {
  const { name, open, can = WRITES_AND_DRAWS, poisons } = subject;
  const asked = drawingOf(subject);
  describe(`family contract: ${name}`, () => {
    let model: LoadedModel;
    beforeAll(async () => {
      model = await open();
    }, 120_000);
    afterAll(() => model?.dispose());
    const calls = callsOn(() => model.stages, subject);

    test("says what it can do, and can do no more", () => {
      const { capabilities } = model.info();
      const { write, draw, interleave } = model.stages;
      expect(capabilities).toEqual(can);
      expect(write !== undefined).toBe(can.generateText);
      expect(draw !== undefined).toBe(can.generateImage || can.editImage);
      expect((draw?.maxImages ?? 0) > 0).toBe(can.editImage);
      expect(interleave !== undefined).toBe(can.converse);
    });
    if (can.generateImage) drawingLaws(calls, () => model.stages, asked);
    if (can.editImage) editingLaws(calls);
    if (can.generateText) writingLaws(calls);
    if (can.converse) conversingLaws(calls);
    if (poisons !== undefined) poisonLaws(subject, () => model.stages);

    test("one task does not disturb another", async () => {
      const before = await everything(calls, can);
      expect(await everything(calls, can)).toEqual(before);
    });

    test("does the same with memory for one stage at a time", async () => {
      const expected = await everything(calls, can);
      const sizes = model.info().stages.map(({ weightBytes }) => weightBytes);
      const small = await open(Math.max(...sizes));
      const fewer = callsOn(() => small.stages, subject);
      for (let round = 0; round < 2; round++) {
        expect(await everything(fewer, can)).toEqual(expected);
        const resident = small.info().stages.filter(({ isResident }) => isResident);
        const bytes = resident.map(({ weightBytes }) => weightBytes);
        expect(Math.max(...bytes)).toBeLessThanOrEqual(Math.max(...sizes));
      }
      await small.dispose();
    });

    test("memory does not grow with calls", async () => {
      await everything(calls, can);
      const before = model.info().tensorBytes;
      for (let run = 0; run < 3; run++) await everything(calls, can);
      expect(model.info().tensorBytes).toBe(before);
    });
  });
}

/** What every task gives, to be compared with itself. */
async function everything(calls: Calls, can: Capabilities) {
  return {
    latents: can.generateImage ? (await calls.draw()).latents : undefined,
    text: can.generateText ? (await calls.write()).text : undefined,
    edited: can.editImage ? (await calls.draw({ images: [checkered(40)] })).latents : undefined,
    parts: can.converse ? (await calls.answer()).parts : undefined,
  };
}

function drawingLaws({ draw }: Calls, stages: () => Stages, asked: EditRequest): void {
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

  test("guidance 1 is the conditional one alone: a negative prompt changes nothing", async () => {
    const alone = await draw({ guidance: 1 });
    const negative = await draw({ guidance: 1, negativePrompt: "cat" });
    expect(negative.latents).toEqual(alone.latents);
  });

  test("a picture that follows another is the one it would be alone", async () => {
    const alone = await draw({ prompt: "two cats" });
    await draw({ prompt: "a much longer prompt about a red fox that sits in the snow at night" });
    expect((await draw({ prompt: "two cats" })).latents).toEqual(alone.latents);
  });

  test("several pictures differ, and the first is the one it would be alone", async () => {
    const [one, both] = [await draw(), await draw({ count: 2 })];
    const first = both.latents.length / 2;
    expect(both.pictures).toHaveLength(2);
    expect(both.latents.slice(first)).not.toEqual(both.latents.slice(0, first));
    // torch draws fewer than 16 numbers, and the last 16 of an odd lot, in another way.
    if (first >= 16 && first % 16 === 0) expect(both.latents.slice(0, first)).toEqual(one.latents);
  });

  test("an aborted drawing rejects with the signal's reason and the next one is right", async () => {
    const expected = await draw();
    const controller = new AbortController();
    const reason = new Error("enough");
    const task = drawImages(stages(), asked, controller.signal);
    await task.next();
    controller.abort(reason);
    await expect(finish(task)).rejects.toBe(reason);
    expect((await draw()).latents).toEqual(expected.latents);
  });

  test("a size that the model has no grid for is a RangeError", async () => {
    await expect(draw({ width: 7 })).rejects.toThrow(RangeError);
  });
}

function editingLaws({ draw }: Calls): void {
  test("the picture matters, and so does the instruction", async () => {
    const [plain, again] = [
      await draw({ images: [checkered(40)] }),
      await draw({ images: [checkered(40)] }),
    ];
    expect(again.latents).toEqual(plain.latents);
    expect((await draw({ images: [checkered(200)] })).latents).not.toEqual(plain.latents);
    const other = await draw({ images: [checkered(40)], prompt: "make it green" });
    expect(other.latents).not.toEqual(plain.latents);
  });

  test("more pictures than it takes are a RangeError", async () => {
    const images = Array.from({ length: 17 }, () => checkered(40));
    await expect(draw({ images })).rejects.toThrow(RangeError);
  });
}

function writingLaws({ write }: Calls): void {
  test("greedy text is deterministic and reports its tokens", async () => {
    const [first, again] = [await write(), await write()];
    expect(again.text).toBe(first.text);
    expect(first.usage.promptTokens).toBeGreaterThan(0);
    expect(first.usage.completionTokens).toBeLessThanOrEqual(ASKED.maxTokens);
  });

  test("sampled text repeats with its seed", async () => {
    const sampled = { temperature: 1.5, seed: 11, maxTokens: 12 };
    expect((await write(sampled)).text).toBe((await write(sampled)).text);
  });

  test("a conversation that does not end with the user is a TypeError", async () => {
    const said = { role: "assistant", content: [{ type: "text", text: "A fox." }] } as const;
    await expect(write({ messages: [...ASKED.messages, said] })).rejects.toThrow(TypeError);
  });
}

function conversingLaws({ answer }: Calls): void {
  test("an answer repeats with its seed and holds no empty text", async () => {
    const sampled = { temperature: 1, seed: 3, maxTokens: 8 };
    const [first, again] = [await answer(sampled), await answer(sampled)];
    expect(again.parts).toEqual(first.parts);
    expect(first.parts.some((part) => part.type === "text" && part.text === "")).toBe(false);
  });

  test("an aborted answer rejects with the signal's reason", async () => {
    const reason = new Error("enough");
    await expect(answer({}, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
}
