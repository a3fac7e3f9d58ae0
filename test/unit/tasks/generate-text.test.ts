import { describe, expect, test } from "vitest";
import type { TextDeltaEvent } from "../../../src/base/events.ts";
import type { TextRequest } from "../../../src/base/requests.ts";
import type { Stages } from "../../../src/models/family.ts";
import { generateText } from "../../../src/tasks/generate-text.ts";
import { createFakeRuntime, dataOf } from "../../support/fake-runtime.ts";

const REQUEST: TextRequest = {
  messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }],
  maxTokens: 20,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
};

const LETTERS = "abcdefgh";
const STOP = LETTERS.length;

/** Stages that answer `answer`, a letter a token; the context has room for `room` tokens. */
function createStages(answer: string, room = 20) {
  const runtime = createFakeRuntime("wasm");
  const logits = runtime.createTensor("f32", [1, 1, STOP + 1]);
  let position = 0;
  const say = (): void => {
    const letter = answer[position++];
    dataOf(logits).fill(0);
    dataOf(logits)[letter === undefined ? STOP : LETTERS.indexOf(letter)] = 1;
  };
  const asked: number[] = [];
  const stages: Stages = {
    runtime,
    write: {
      stopIds: new Set([STOP]),
      prefill: async (_messages, maxTokens) => {
        asked.push(maxTokens);
        say();
        const token = runtime.createTensor("i32", [1, 1]);
        const core = {
          logits,
          vocabularySize: STOP + 1,
          token,
          advance: [],
          decode: async () => say(),
        };
        return { promptTokens: 4, room: Math.min(room, maxTokens), core };
      },
      // Holds every letter back until the next one, as a decoder does inside a character.
      createTextStream: () => {
        let held = "";
        return {
          push: (id) => {
            const out = held;
            held = LETTERS[id] ?? "";
            return out;
          },
          end: () => held,
        };
      },
    },
    info: () => ({ stages: [], captured: {}, notes: [] }),
    dispose: async () => undefined,
  };
  return { stages, asked };
}

async function run(stages: Stages, request: TextRequest) {
  const deltas: TextDeltaEvent[] = [];
  const task = generateText(stages, request);
  let next = await task.next();
  for (; !next.done; next = await task.next()) deltas.push(next.value);
  return { deltas, result: next.value };
}

describe("generateText", () => {
  test("the deltas are the text, also what the decoder held back", async () => {
    const { stages } = createStages("badge");
    const { deltas, result } = await run(stages, REQUEST);
    expect(result).toMatchObject({ text: "badge", finishReason: "stop" });
    expect(deltas.map(({ text }) => text).join("")).toBe("badge");
    expect(result.usage).toMatchObject({ promptTokens: 4, completionTokens: 5 });
  });

  test("ends with reason length at maxTokens", async () => {
    const { stages, asked } = createStages("badge");
    const { result } = await run(stages, { ...REQUEST, maxTokens: 3 });
    expect(result).toMatchObject({ text: "bad", finishReason: "length" });
    expect(asked).toEqual([3]);
  });

  test("ends with reason length where the context is full", async () => {
    const { stages } = createStages("badge", 2);
    expect((await run(stages, REQUEST)).result).toMatchObject({
      text: "ba",
      finishReason: "length",
    });
  });

  test("tokens and seconds grow, seconds left shrink to nothing at the end of the room", async () => {
    const { stages } = createStages("badge", 5);
    const { deltas } = await run(stages, REQUEST);
    const counts = deltas.map(({ tokens }) => tokens);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(deltas.at(-1)?.secondsLeft).toBe(0);
  });
});
