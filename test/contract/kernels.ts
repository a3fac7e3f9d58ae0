// The laws of the kernels of session/runtime.ts, the same for every backend.
import { beforeAll, describe, expect, test } from "vitest";
import { f32ToF16 } from "../../src/base/float16.ts";
import { pickTokenId } from "../../src/session/pick-token-id.ts";
import {
  BROKEN_PIXEL,
  BROKEN_TOKEN,
  FORBIDDEN_TOKEN,
  SAME_PIXEL,
  SEEN_TOKEN,
} from "../../src/session/runtime.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { testMixRows, testSolverStep } from "./solver-kernels.ts";

/** Runs the suite on one runtime that all its tests share. */
export function runKernelContract(create: () => Promise<Runtime>): void {
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await create();
  }, 60_000);
  describe("solverStep", () => testSolverStep(() => runtime));
  describe("mixRows", () => testMixRows(() => runtime));
  describe("pickToken", () => testPickToken(() => runtime));
  describe("pickToken from a distribution", () => testSampling(() => runtime));
  describe("findBroken", () => testFindBroken(() => runtime));
  describe("packPixels", () => testPackPixels(() => runtime));
}

interface Picks {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly count?: number;
  readonly vocabularySize?: number;
  readonly rules?: readonly number[];
  readonly repetitionPenalty?: number;
}

/** Picks `count` ids from logits that do not change. */
async function pickIds(
  runtime: Runtime,
  logits: ArrayLike<number>,
  options: Picks = {},
): Promise<number[]> {
  const { temperature = 1, topK = 0, topP = 1, seed = 1, count = 1 } = options;
  const { vocabularySize = logits.length, rules = [], repetitionPenalty = 1 } = options;
  const bits = Uint32Array.from({ length: logits.length }, (_, id) => rules[id] ?? 0);
  const tensors = {
    logits: runtime.createTensor("f32", [1, 1, logits.length], Float32Array.from(logits)),
    token: runtime.createTensor("i32", [1, 1]),
    rules: runtime.createTensor("u32", [logits.length], bits),
    ids: runtime.createTensor("i32", [count]),
    count: runtime.createTensor("i32", [1]),
  };
  const sampling = { temperature, topK, topP, seed, vocabularySize, repetitionPenalty };
  const pick = runtime.kernels.pickToken({ ...tensors, advance: [], ...sampling });
  for (let n = 0; n < count; n++) pick();
  const ids = [...(await runtime.read(tensors.ids))];
  for (const tensor of Object.values(tensors)) tensor.dispose();
  return ids;
}

function testPickToken(get: () => Runtime): void {
  test("of temperature 0 is the largest logit, the lowest id of equals", async () => {
    const greedy = { temperature: 0 };
    expect(await pickIds(get(), [-3, -1, -2, -1], greedy)).toEqual([1]);
    expect(await pickIds(get(), [-0, 0, -0], greedy)).toEqual([0]);
    expect(await pickIds(get(), [-Infinity, -Infinity, -5, -Infinity], greedy)).toEqual([2]);
    const wide = new Float32Array(5000);
    wide[4321] = wide[777] = 1;
    expect(await pickIds(get(), wide, greedy)).toEqual([777]);
  });

  test("never picks padding rows", async () => {
    const logits = [1, 2, 3, 100, 100];
    expect(await pickIds(get(), logits, { temperature: 0, vocabularySize: 3 })).toEqual([2]);
    const drawn = await pickIds(get(), logits, { temperature: 9, vocabularySize: 3, count: 60 });
    expect(Math.max(...drawn)).toBe(2);
  });

  test("never picks forbidden ids", async () => {
    const rules = [0, FORBIDDEN_TOKEN, 0, FORBIDDEN_TOKEN | SEEN_TOKEN];
    expect(await pickIds(get(), [1, 9, 2, 8], { temperature: 0, rules })).toEqual([2]);
    const drawn = await pickIds(get(), [1, 9, 1, 8], { rules, count: 60 });
    expect([...new Set(drawn)].toSorted((a, b) => a - b)).toEqual([0, 2]);
  });

  test("weakens what was seen, and sees what it picks", async () => {
    const greedy = { temperature: 0, repetitionPenalty: 2 };
    expect(await pickIds(get(), [3, 4, 1], { ...greedy, rules: [0, SEEN_TOKEN] })).toEqual([0]);
    expect(await pickIds(get(), [-3, -2, -5], { ...greedy, rules: [0, SEEN_TOKEN] })).toEqual([0]);
    // 4 -> 2 once picked, then 3 -> 1.5, then 2 is the largest again.
    expect(await pickIds(get(), [3, 4, 1], { ...greedy, count: 4 })).toEqual([1, 0, 1, 1]);
  });

  test("writes token, ids and count, and moves every length on", async () => {
    const runtime = get();
    const one = (value: number) => runtime.createTensor("i32", [1], Int32Array.of(value));
    const [token, ids, count] = [one(0), runtime.createTensor("i32", [3]), one(1)];
    const rows = runtime.createTensor("i32", [2], Int32Array.of(40, 50));
    const advance = [one(10), one(20), one(30), rows];
    const logits = runtime.createTensor("f32", [4], Float32Array.of(0, 0, 5, 0));
    const rules = runtime.createTensor("u32", [4]);
    const plain = { temperature: 0, topK: 0, topP: 1, seed: 0, vocabularySize: 4 };
    const greedy = { ...plain, rules, repetitionPenalty: 1 };
    const pick = runtime.kernels.pickToken({ logits, token, ids, count, advance, ...greedy });
    pick();
    expect(await runtime.read(ids)).toEqual(Int32Array.of(0, 2, 0));
    pick();
    pick();
    expect(await runtime.read(token)).toEqual(Int32Array.of(2));
    expect(await runtime.read(ids)).toEqual(Int32Array.of(0, 2, 2));
    expect(await runtime.read(count)).toEqual(Int32Array.of(4));
    const lengths = await Promise.all(advance.map((tensor) => runtime.read(tensor)));
    expect(lengths.flatMap((values) => [...values])).toEqual([13, 23, 33, 43, 53]);
  });
}

const probabilities = [0.4, 0.2, 0.2, 0.1, 0.05, 0.05];
const logitsOf = (values: readonly number[]) => values.map((p) => Math.log(p));

function testSampling(get: () => Runtime): void {
  const support = async (options: Picks) =>
    [
      ...new Set(await pickIds(get(), logitsOf(probabilities), { count: 120, ...options })),
    ].toSorted((a, b) => a - b);

  test("follows it (chi-square, 5 degrees of freedom, p = 0.001)", async () => {
    const count = 1000;
    for (const temperature of [1, 2]) {
      const ids = await pickIds(get(), logitsOf(probabilities), { temperature, count, seed: 5 });
      const powers = probabilities.map((p) => p ** (1 / temperature));
      const total = powers.reduce((a, b) => a + b, 0);
      const chi = powers.reduce((sum, power, id) => {
        const expected = (count * power) / total;
        const seen = ids.filter((picked) => picked === id).length;
        return sum + (seen - expected) ** 2 / expected;
      }, 0);
      expect(chi).toBeLessThan(20.5);
    }
  });

  test("keeps the topK likeliest, the lowest ids of equals", async () => {
    expect(await support({ topK: 1 })).toEqual([0]);
    expect(await support({ topK: 2 })).toEqual([0, 1]);
    expect(await support({ topK: 3 })).toEqual([0, 1, 2]);
    expect(await support({ topK: 99 })).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("keeps the smallest set that reaches topP, the lowest ids of equals", async () => {
    expect(await support({ topP: 0.3 })).toEqual([0]);
    expect(await support({ topP: 0.55 })).toEqual([0, 1]);
    expect(await support({ topP: 0.75 })).toEqual([0, 1, 2]);
    expect(await support({ topP: 0.93 })).toEqual([0, 1, 2, 3, 4]);
    expect(await support({ topP: 1e-6 })).toEqual([0]);
  });

  test("cuts to topP what topK left", async () => {
    // Of 0.4, 0.2, 0.2 the first two are three quarters.
    expect(await support({ topK: 3, topP: 0.74 })).toEqual([0, 1]);
    expect(await support({ topK: 3, topP: 0.76 })).toEqual([0, 1, 2]);
  });

  test("gives the same ids for the same seed and others for another", async () => {
    const logits = Float32Array.from({ length: 64 }, (_, id) => (id % 2) / 100);
    const draw = (seed: number) => pickIds(get(), logits, { seed, count: 40 });
    const first = await draw(2 ** 40 + 1);
    expect(await draw(2 ** 40 + 1)).toEqual(first);
    for (const seed of [1, 2 ** 40, 2 ** 41 + 1, -1, 0])
      expect(await draw(seed)).not.toEqual(first);
    expect(new Set(first).size).toBeGreaterThan(20);
  });

  test.each([Number.NaN, Infinity])("tells that logits have %s", async (broken) => {
    for (const temperature of [0, 1]) {
      const logits = new Float32Array(1000).fill(-1);
      logits[777] = broken;
      expect(await pickIds(get(), logits, { temperature })).toEqual([BROKEN_TOKEN]);
      const rules = Array.from(logits, (_, id) => (id === 777 ? FORBIDDEN_TOKEN : 0));
      const [id] = await pickIds(get(), logits, { temperature, rules });
      expect(id).toBeGreaterThanOrEqual(0);
    }
  });

  test.each([0, -0, 3.5, -Infinity])("tells that all logits are %s", async (value) => {
    for (const size of [2, 300]) {
      for (const temperature of [0, 1]) {
        const logits = new Float32Array(size).fill(value);
        expect(await pickIds(get(), logits, { temperature })).toEqual([BROKEN_TOKEN]);
        // A head of padding rows, and a mask that leaves one id, change nothing about it.
        const rules = Array.from(logits, (_, id) => (id === 1 ? 0 : FORBIDDEN_TOKEN));
        const padded = [...logits, 7, 8];
        const options = { temperature, rules, vocabularySize: size };
        expect(await pickIds(get(), padded, options)).toEqual([BROKEN_TOKEN]);
      }
    }
  });

  test("tells that no logit that may be picked is more than -Infinity", async () => {
    const logits = [4, -Infinity, 5, -Infinity];
    const rules = [FORBIDDEN_TOKEN, 0, FORBIDDEN_TOKEN, 0];
    for (const temperature of [0, 1]) {
      expect(await pickIds(get(), logits, { temperature, rules })).toEqual([BROKEN_TOKEN]);
      const all = Array(4).fill(FORBIDDEN_TOKEN);
      expect(await pickIds(get(), logits, { temperature, rules: all })).toEqual([BROKEN_TOKEN]);
    }
  });

  test("picks what a mask leaves alone: one id, equal ones, a vocabulary of one", async () => {
    for (const temperature of [0, 1]) {
      const alone = [-Infinity, -Infinity, 0, -Infinity];
      expect(await pickIds(get(), alone, { temperature })).toEqual([2]);
      const rules = [FORBIDDEN_TOKEN, 0, 0];
      const [id] = await pickIds(get(), [1, 2, 2], { temperature, rules });
      expect([1, 2]).toContain(id);
      expect(await pickIds(get(), [0], { temperature })).toEqual([0]);
    }
  });

  test("never draws a masked token", async () => {
    const logits = [0, -Infinity, 0, -Infinity, -1e30];
    expect(
      [...new Set(await pickIds(get(), logits, { count: 100 }))].toSorted((a, b) => a - b),
    ).toEqual([0, 2]);
  });

  test(
    "agrees with the plain reference, also on a large vocabulary",
    { timeout: 60_000 },
    async () => {
      const cases = [
        { size: 1, topK: 0, topP: 1 },
        { size: 257, topK: 0, topP: 0.8 },
        { size: 1000, topK: 40, topP: 0.9 },
        { size: 102_400, topK: 0, topP: 0.95 },
        { size: 152_064, topK: 50, topP: 0.9 },
      ];
      for (const { size, topK, topP } of cases) {
        // Quarters, so that there are many ties.
        const logits = Float32Array.from(
          { length: size },
          (_, n) => Math.round(40 * Math.sin(n * n)) / 4,
        );
        const options = { temperature: 0.8, topK, topP, seed: size };
        const expected = Array.from({ length: 5 }, (_, count) =>
          pickTokenId(logits, options, count),
        );
        expect(await pickIds(get(), logits, { ...options, count: 5 })).toEqual(expected);
      }
    },
  );
}

function testFindBroken(get: () => Runtime): void {
  async function find(values: ArrayBufferView, dtype: "f32" | "f16", count: number) {
    const tensor = get().createTensor(dtype, [count], values);
    const report = get().createTensor("u32", [2]);
    get().kernels.findBroken({ values: tensor, report })();
    const found = [...(await get().read(report))];
    for (const used of [tensor, report]) used.dispose();
    return found;
  }

  const MANY = 1001;
  const places = [[], [0], [MANY - 1], [7, 6, 900]];
  for (const dtype of ["f32", "f16"] as const) {
    test.each([Number.NaN, Infinity, -Infinity])(`finds the first %s of ${dtype}`, async (bad) => {
      // The wasm runtime computes in f32 alone.
      if (dtype === "f16" && get().backend === "wasm") return;
      for (const at of places) {
        // Largest numbers of the type, and zeros.
        const values = Float32Array.from({ length: MANY }, (_, n) => (n % 3) * -32_752);
        for (const place of at) values[place] = bad;
        const expected = at.length === 0 ? 0 : MANY - Math.min(...at);
        const stored = dtype === "f16" ? f32ToF16(values) : values;
        expect(await find(stored, dtype, MANY)).toEqual([MANY, expected]);
      }
    });
  }
}

function testPackPixels(get: () => Runtime): void {
  async function pack(values: number[], rounding: "truncate" | "round"): Promise<number[]> {
    const pixels = values.length / 3;
    const image = get().createTensor("f32", [3, 1, pixels], Float32Array.from(values));
    const packed = get().createTensor("u32", [1, pixels]);
    get().kernels.packPixels({ image, packed, width: pixels, height: 1, rounding })();
    const words = await get().read(packed);
    return [...new Uint8Array(Uint32Array.from(words).buffer)];
  }

  test("truncates or rounds, planes to RGBA", async () => {
    const gray = 2 * (100.75 / 255) - 1;
    expect(await pack([-1, gray, 1], "truncate")).toEqual([0, 100, 255, SAME_PIXEL]);
    expect(await pack([-1, gray, 1], "round")).toEqual([0, 101, 255, SAME_PIXEL]);
    expect(await pack([-1, 1, gray, 1, 1, -1], "round")).toEqual([
      0,
      101,
      255,
      SAME_PIXEL,
      255,
      255,
      0,
      255,
    ]);
  });

  test("clamps what is outside [-1, 1]", async () => {
    expect(await pack([-7, 7, 1.001], "round")).toEqual([0, 255, 255, SAME_PIXEL]);
  });

  test.each([Number.NaN, Infinity, -Infinity])("notes a pixel that has %s", async (broken) => {
    for (let plane = 0; plane < 3; plane++) {
      const values = [0, 0.5, 0, 0.5, 0, 0.5];
      values[2 * plane + 1] = broken;
      const bytes = await pack(values, "round");
      expect([bytes[3], bytes[7]]).toEqual([SAME_PIXEL, BROKEN_PIXEL]);
    }
  });

  test("notes pixels of the same numbers, not of the same bytes", async () => {
    const white = [1, 1, 1.5, 1, 1, 1, 1, 1, 1];
    const bytes = await pack(white, "round");
    expect(bytes.filter((_, n) => n % 4 !== 3).every((byte) => byte === 255)).toBe(true);
    expect([bytes[3], bytes[7], bytes[11]]).toEqual([SAME_PIXEL, SAME_PIXEL, 255]);
  });
}
