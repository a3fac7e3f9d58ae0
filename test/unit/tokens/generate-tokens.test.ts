import { describe, expect, test } from "vitest";
import { generateTokens, type TokenCore } from "../../../src/tokens/generate-tokens.ts";
import { createFakeRuntime, dataOf, type FakeRuntime } from "../../support/fake-runtime.ts";

const GREEDY = { temperature: 0, topK: 0, topP: 1, seed: 0, stopIds: new Set([9]) };

/** A core that answers `script`, one id after the other, then 9 for ever. */
function createScriptedCore(runtime: FakeRuntime, script: readonly number[]) {
  const logits = runtime.createTensor("f32", [1, 1, 10]);
  const length = runtime.createTensor("i32", [1]);
  let position = 0;
  const say = (): void => {
    dataOf(logits).fill(0);
    dataOf(logits)[script[position] ?? 9] = 1;
    position += 1;
  };
  say();
  const core: TokenCore & { decodes: number } = {
    logits,
    vocabularySize: 10,
    token: runtime.createTensor("i32", [1, 1]),
    advance: [length],
    decodes: 0,
    async decode() {
      core.decodes += 1;
      say();
    },
  };
  return core;
}

async function collect(
  runtime: FakeRuntime,
  core: TokenCore,
  maxTokens: number,
  signal?: AbortSignal,
) {
  const loop = generateTokens(runtime, core, { ...GREEDY, maxTokens, signal });
  const ids: number[] = [];
  let next = await loop.next();
  for (; !next.done; next = await loop.next()) ids.push(...next.value);
  return { ids, ...next.value };
}

describe.each(["webgpu", "wasm"] as const)("generateTokens on %s", (backend) => {
  test("yields the script and stops at the stop id without yielding it", async () => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2, 3, 4, 5, 6, 7]);
    expect(await collect(runtime, core, 100)).toEqual({
      ids: [1, 2, 3, 4, 5, 6, 7],
      reason: "stop",
      stopId: 9,
    });
  });

  test.each([1, 3, 6])("names token %i whose logits are no numbers", async (at) => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2, 3, 4, 5, 6, 7]);
    const decode = core.decode.bind(core);
    core.decode = async () => {
      await decode();
      if (core.decodes === at - 1) dataOf(core.logits).fill(Number.NaN);
    };
    if (at === 1) dataOf(core.logits).fill(Number.NaN);
    await expect(collect(runtime, core, 100)).rejects.toMatchObject({
      code: "numerics",
      details: { step: at },
    });
  });

  test.each([
    ["zeros", [0, 0, 0]],
    ["nothing but -Infinity", [-Infinity, -Infinity, -Infinity]],
  ])("names the token whose logits are %s", async (_, [value = 0]) => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2, 3, 4, 5, 6, 7]);
    const decode = core.decode.bind(core);
    core.decode = async () => {
      await decode();
      if (core.decodes === 2) dataOf(core.logits).fill(value);
    };
    await expect(collect(runtime, core, 100)).rejects.toMatchObject({
      code: "numerics",
      details: { step: 3 },
    });
  });

  test.each([0, 1])("refuses zeros in place of ids, read back %i and on", async (from) => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2, 3, 4, 5, 6, 7]);
    const read = runtime.read.bind(runtime);
    let reads = 0;
    runtime.read = async (tensor) => {
      const data = await read(tensor);
      return reads++ >= from ? data.fill(0) : data;
    };
    await expect(collect(runtime, core, 100)).rejects.toMatchObject({
      code: "numerics",
      details: { done: 0 },
    });
  });

  test("hears nothing of logits beyond the stop", async () => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 9]);
    const decode = core.decode.bind(core);
    core.decode = async () => {
      await decode();
      if (core.decodes === 2) dataOf(core.logits).fill(Number.NaN);
    };
    expect(await collect(runtime, core, 100)).toMatchObject({ ids: [1], reason: "stop" });
  });

  test("ends at maxTokens with reason length", async () => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2, 3, 4, 5, 6, 7]);
    expect(await collect(runtime, core, 5)).toEqual({ ids: [1, 2, 3, 4, 5], reason: "length" });
    expect(core.decodes).toBe(4);
  });

  test("an answer that begins with the stop id is empty", async () => {
    const runtime = createFakeRuntime(backend);
    expect(await collect(runtime, createScriptedCore(runtime, []), 5)).toEqual({
      ids: [],
      reason: "stop",
      stopId: 9,
    });
  });

  test("runs ahead by less than two batches", async () => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2]);
    await collect(runtime, core, 100);
    expect(core.decodes).toBeLessThanOrEqual(backend === "wasm" ? 2 : 8);
  });

  test("stops with the signal's own reason and frees what it made", async () => {
    const runtime = createFakeRuntime(backend);
    const core = createScriptedCore(runtime, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3]);
    const mine = runtime.tensors.length;
    const controller = new AbortController();
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(collect(runtime, core, 50, controller.signal)).rejects.toBe(reason);
    expect(runtime.tensors.slice(mine).every(({ isDisposed }) => isDisposed)).toBe(true);
  });
});

test("on a GPU ids come back in batches behind the loop", async () => {
  const runtime = createFakeRuntime("webgpu");
  const core = createScriptedCore(runtime, Array<number>(40).fill(1));
  await collect(runtime, core, 40);
  expect(runtime.counters.readbacks).toBe(10);
});
