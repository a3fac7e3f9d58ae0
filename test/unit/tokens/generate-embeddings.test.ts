import { describe, expect, test, vi } from "vitest";
import { generateEmbeddings, type EmbeddingCore } from "../../../src/tokens/generate-embeddings.ts";
import { createFakeRuntime, dataOf, type FakeRuntime } from "../../support/fake-runtime.ts";

/** A core that says where it is and what it reads: vector = [place, total, last of the previous one + 1]. */
function createEchoCore(runtime: FakeRuntime, length: number) {
  const core: EmbeddingCore & { decodes: number } = {
    previous: runtime.createTensor("f32", [1, 1, 3]),
    vector: runtime.createTensor("f32", [1, 1, 3], Float32Array.of(0, 0, 40)),
    length,
    place: [runtime.createTensor("i32", [1]), runtime.createTensor("i32", [1])],
    decodes: 0,
    async decode() {
      core.decodes += 1;
      const [place = 0] = dataOf(core.place[0]);
      const [total = 0] = dataOf(core.place[1]);
      const [, , last = 0] = dataOf(core.previous);
      dataOf(core.vector).set([place, total, last + 1]);
    },
  };
  return core;
}

function start(holdFences = false) {
  const runtime = createFakeRuntime();
  runtime.holdFences = holdFences;
  const core = createEchoCore(runtime, 7);
  const vectors = runtime.createTensor("f32", [1, 4, 3]);
  return { runtime, core, vectors };
}

describe("generateEmbeddings", () => {
  test("feeds every step with what the one before gave, one place on", async () => {
    const { runtime, core, vectors } = start();
    await generateEmbeddings(runtime, core, { vectors });
    expect([...dataOf(vectors)]).toEqual([0, 0, 40, 7, 8, 41, 8, 9, 42, 9, 10, 43]);
  });

  test("uploads nothing between its steps, and reads back once, behind the last", async () => {
    const { runtime, core, vectors } = start();
    const readbacks: number[] = [];
    const decode = core.decode.bind(core);
    core.decode = () => {
      readbacks.push(runtime.counters.readbacks);
      return decode();
    };
    await generateEmbeddings(runtime, core, { vectors });
    expect(readbacks).toEqual([0, 0, 0]);
    expect(runtime.counters).toMatchObject({ readbacks: 1, uploads: 0 });
  });

  test.each([1, 2, 4])("names vector %i, the first that holds no numbers", async (vector) => {
    const { runtime, core, vectors } = start();
    const decode = core.decode.bind(core);
    core.decode = async () => {
      await decode();
      if (core.decodes >= vector - 1) dataOf(core.vector)[1] = Number.NaN;
    };
    if (vector === 1) dataOf(core.vector)[1] = Number.NaN;
    await expect(generateEmbeddings(runtime, core, { vectors })).rejects.toMatchObject({
      code: "numerics",
      details: { vector },
    });
  });

  test("refuses what the device did not look at", async () => {
    const { runtime, core, vectors } = start();
    vi.spyOn(runtime, "read").mockResolvedValue(new Uint32Array(2));
    await expect(generateEmbeddings(runtime, core, { vectors })).rejects.toThrow(
      /looked at 0 of 12 numbers/,
    );
  });

  test("runs at most two steps ahead of the device", async () => {
    const { runtime, core, vectors } = start(true);
    const done = generateEmbeddings(runtime, core, { vectors });
    const settle = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    };
    await settle();
    expect(core.decodes).toBe(1);
    runtime.settleFence();
    await settle();
    expect(core.decodes).toBe(2);
    for (let step = 1; step < 4; step++) {
      runtime.settleFence();
      await settle();
    }
    await done;
    expect(core.decodes).toBe(3);
  });

  test("stops at an abort with the signal's reason and keeps nothing", async () => {
    const { runtime, core, vectors } = start();
    const controller = new AbortController();
    const reason = new Error("enough");
    const decode = core.decode.bind(core);
    core.decode = async () => {
      await decode();
      if (core.decodes === 2) controller.abort(reason);
    };
    const before = runtime.tensors.length;
    const { signal } = controller;
    await expect(generateEmbeddings(runtime, core, { vectors, signal })).rejects.toBe(reason);
    expect(core.decodes).toBe(2);
    expect(runtime.tensors.slice(before).every(({ isDisposed }) => isDisposed)).toBe(true);
  });
});
