import { describe, expect, test } from "vitest";
import type { RunEvent } from "../../../src/base/events.ts";
import type { ConverseRequest } from "../../../src/base/requests.ts";
import { FlowDrawing } from "../../../src/flow/flow-drawing.ts";
import type { VelocityField } from "../../../src/flow/integrate.ts";
import { eulerSchedule, uniformLevels } from "../../../src/flow/schedule.ts";
import type { Stages, WrittenPrompt } from "../../../src/models/family.ts";
import { converse } from "../../../src/tasks/converse.ts";
import type { TokenCore } from "../../../src/tokens/generate-tokens.ts";
import { createFakeRuntime, dataOf } from "../../support/fake-runtime.ts";

const [STOP, BEGIN] = [0, 1];
const REQUEST: ConverseRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: "draw" }] }],
  maxTokens: 20,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 3,
  previewEvery: 0,
};

/** A model that answers with these ids; a picture follows each BEGIN. */
function createStages(script: readonly number[], { isFullAfter = Infinity } = {}) {
  const runtime = createFakeRuntime();
  const log: string[] = [];
  let place = 0;
  const prompt = (room: number): WrittenPrompt => {
    const logits = runtime.createTensor("f32", [1, 1, 10]);
    // The loop runs ahead of what is read: a script is left where its picture began.
    let next = place;
    const show = (): void => {
      dataOf(logits).fill(0);
      dataOf(logits)[script[next++] ?? STOP] = 1;
    };
    show();
    const core: TokenCore = {
      logits,
      vocabularySize: 10,
      advance: [],
      token: runtime.createTensor("i32", [1, 1]),
      decode: async () => show(),
    };
    return { promptTokens: 4, room, core };
  };
  const field: VelocityField = {
    latents: runtime.createTensor("f32", [1]),
    velocity: runtime.createTensor("f32", [1]),
    time: runtime.createTensor("f32", [1]),
    evaluate: async () => undefined,
  };
  let pictures = 0;
  const stages: Stages = {
    runtime,
    write: {
      stopIds: new Set([STOP]),
      prefill: async (_messages, maxTokens) => prompt(maxTokens),
      createTextStream: () => ({ push: (id) => `${id} `, end: () => "" }),
    },
    interleave: {
      beginIds: new Set([BEGIN]),
      prefill: async (_messages, maxTokens) => prompt(maxTokens),
      async prepare(answered, { steps = 2, guidance = 5, seed }) {
        log.push(`draw after ${answered.join()} seed ${seed}`);
        place += answered.length;
        const schedule = eulerSchedule(uniformLevels(steps));
        return new FlowDrawing(runtime, {
          field,
          schedule,
          weights: [1],
          guidance,
          latentShape: [1],
          noise: Float32Array.of(1),
          decode: async () => ({ width: 1, height: 1, data: new Uint8ClampedArray(4) }),
        });
      },
      async resume(maxTokens) {
        log.push(`resume with ${maxTokens}`);
        pictures += 1;
        return pictures >= isFullAfter ? undefined : prompt(maxTokens);
      },
    },
    info: () => ({ stages: [], captured: {}, notes: [] }),
    dispose: async () => undefined,
  };
  return { stages, log };
}

async function run(stages: Stages, request = REQUEST, signal?: AbortSignal) {
  const events: RunEvent[] = [];
  const task = converse(stages, request, signal);
  let next = await task.next();
  for (; !next.done; next = await task.next()) events.push(next.value);
  const parts = next.value.parts.map((part) => (part.type === "text" ? part.text : part.type));
  return { events, parts, usage: next.value.usage };
}

describe("converse", () => {
  test("writes, draws and writes on, in the order of the answer", async () => {
    const { stages, log } = createStages([5, 6, BEGIN, 7, BEGIN, STOP]);
    const { parts, events, usage } = await run(stages);
    expect(parts).toEqual(["5 6 ", "image", "7 ", "image"]);
    expect(log).toEqual([
      "draw after 5,6,1 seed 3",
      "resume with 18",
      "draw after 7,1 seed 4",
      "resume with 17",
    ]);
    const seen = events.map((event) =>
      "image" in event ? `${event.type} ${event.image}` : event.type,
    );
    const picture = (n: number) => [`step ${n}`, `step ${n}`, `image ${n}`];
    expect(seen).toEqual(["text-delta", ...picture(0), "text-delta", ...picture(1)]);
    expect(usage).toMatchObject({ promptTokens: 4, completionTokens: 3 });
  });

  test("is a plain text where the model draws nothing", async () => {
    const { stages, log } = createStages([5, 6, STOP]);
    expect((await run(stages)).parts).toEqual(["5 6 "]);
    expect(log).toEqual([]);
  });

  test("hands steps and guidance to the picture", async () => {
    const { stages } = createStages([BEGIN]);
    const task = converse(stages, { ...REQUEST, steps: 3, guidance: 2 });
    let next = await task.next();
    while (!next.done) next = await task.next();
    expect(next.value.parts).toMatchObject([{ type: "image", steps: 3, guidance: 2 }]);
  });

  test("ends with the picture that fills the context", async () => {
    const { stages } = createStages([5, BEGIN, 7], { isFullAfter: 1 });
    expect((await run(stages)).parts).toEqual(["5 ", "image"]);
  });

  test("never writes more than maxTokens, whatever is drawn between", async () => {
    const { stages } = createStages([5, 6, BEGIN, 7, 8, 9, 9, 9]);
    const { usage, parts } = await run(stages, { ...REQUEST, maxTokens: 4 });
    expect(usage.completionTokens).toBe(4);
    expect(parts).toEqual(["5 6 ", "image", "7 8 "]);
  });

  test("rejects with the signal's own reason", async () => {
    const { stages } = createStages([5]);
    const reason = new Error("enough");
    await expect(run(stages, REQUEST, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
