// What may be picked when, and whole answers of texts and pictures, on the wasm backend.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { RunEvent } from "../../../../src/base/events.ts";
import type { ConverseRequest, Message } from "../../../../src/base/requests.ts";
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import type { InterleaveStage, WriteStage } from "../../../../src/models/family.ts";
import { FORBIDDEN_TOKEN, SEEN_TOKEN } from "../../../../src/session/runtime.ts";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { converse } from "../../../../src/tasks/converse.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { openModel } from "../../../support/open-model.ts";

const CONTEXT = 192;
const PICTURE = 18;
const said = (text: string): Message => ({ role: "user", content: [{ type: "text", text }] });

describe("answers of Anole", () => {
  const { json } = readChameleonGoldens("anole");
  const { boi, eos, image, text } = json.tokens;
  let model: LoadedModel;
  let write: WriteStage;
  let interleave: InterleaveStage;
  beforeAll(async () => {
    const files = folderFiles(new URL("checkpoint/", chameleonFolder("anole")));
    model = await openModel({ kind: "files", files }, "f32", await createWasmRuntime());
    ({ write, interleave } = model.stages as Required<LoadedModel["stages"]>);
  }, 120_000);
  afterAll(() => model?.dispose());

  const rulesOf = async (prompt: Awaited<ReturnType<WriteStage["prefill"]>>) => {
    if (prompt.rules === undefined) throw new Error("Chameleon has rules");
    return model.stages.runtime.read(prompt.rules);
  };
  /** A prompt of this many tokens, its last turn open. */
  const promptOf = (length: number): Message => said("1".repeat(length - 1));

  test("without pictures are text alone, and remember what the prompt holds", async () => {
    const rules = await rulesOf(await write.prefill([said("a red fox")], 4));
    const allowed = [...rules.keys()].filter((id) => ((rules[id] ?? 0) & FORBIDDEN_TOKEN) === 0);
    expect(allowed).toEqual([eos, ...text]);
    const seen = [...rules.keys()].filter((id) => ((rules[id] ?? 0) & SEEN_TOKEN) !== 0);
    expect(seen).toContain(json.tokens.bos);
    expect(seen).toContain(json.tokens.eot);
    expect(seen).not.toContain(boi);
  });

  test("with pictures may begin one, and no code alone", async () => {
    const rules = await rulesOf(await interleave.prefill([said("a red fox")], 4));
    expect((rules[boi] ?? 0) & FORBIDDEN_TOKEN).toBe(0);
    expect(image.every((id) => ((rules[id] ?? 0) & FORBIDDEN_TOKEN) !== 0)).toBe(true);
  });

  test("begin no picture once there is no room for it, as the reference's decoder", async () => {
    const prompt = await interleave.prefill([promptOf(CONTEXT - PICTURE - 2)], 8);
    expect(prompt.promptTokens).toBe(CONTEXT - PICTURE - 2);
    const forbidden: number[] = [];
    for (let decodes = 0; decodes < 4; decodes++) {
      forbidden.push(((await rulesOf(prompt))[boi] ?? 0) & FORBIDDEN_TOKEN);
      await prompt.core.decode();
    }
    expect(forbidden).toEqual([0, 0, FORBIDDEN_TOKEN, FORBIDDEN_TOKEN]);
  });

  test("begin none at all behind a prompt that leaves no room", async () => {
    const rules = await rulesOf(await interleave.prefill([promptOf(CONTEXT - PICTURE)], 8));
    expect((rules[boi] ?? 0) & FORBIDDEN_TOKEN).toBe(FORBIDDEN_TOKEN);
  });

  test("a prompt that fills the context is a RangeError", async () => {
    await expect(interleave.prefill([promptOf(CONTEXT)], 8)).rejects.toThrow(/192/);
    const long = { prompt: "1".repeat(CONTEXT - PICTURE), images: [], seed: 0, count: 1 };
    const { draw } = model.stages as Required<LoadedModel["stages"]>;
    await expect(draw.prepare({ ...draw.defaults([]), ...long })).rejects.toThrow(RangeError);
  });

  test("do not go on behind codes that are read back as zeros", async () => {
    await interleave.prefill([said("a red fox")], 4);
    const drawing = await interleave.prepare([boi], { seed: 1 });
    for await (const step of drawing.draw(0, { settleEvery: 0 })) void step;
    await drawing.decode();
    const read = vi.spyOn(model.stages.runtime, "read");
    read.mockImplementationOnce(async () => new Int32Array(PICTURE - 2));
    await expect(interleave.resume(4)).rejects.toMatchObject({
      code: "numerics",
      details: { code: 1 },
    });
    read.mockRestore();
    drawing.dispose();
  });

  test("hold the picture between their texts", async () => {
    const request: ConverseRequest = {
      messages: [said(json.interleaved?.prompt ?? "")],
      maxTokens: 12,
      temperature: 0,
      topK: 0,
      topP: 1,
      seed: 1,
      previewEvery: 8,
    };
    const events: RunEvent[] = [];
    const task = converse(model.stages, request);
    let next = await task.next();
    for (; !next.done; next = await task.next()) events.push(next.value);
    const { parts, usage } = next.value;
    expect(parts.map(({ type }) => type)).toContain("image");
    expect(parts.find(({ type }) => type === "image")).toMatchObject({
      pixels: { width: 8, height: 8 },
      steps: 16,
      guidance: 3,
    });
    expect(usage.completionTokens).toBeLessThanOrEqual(12);
    expect(events.filter(({ type }) => type === "preview").length).toBeGreaterThan(0);
    const asked = converse(model.stages, { ...request, steps: 3 });
    await expect(
      (async () => {
        for await (const _ of asked);
      })(),
    ).rejects.toThrow(RangeError);
  });
});
