import { describe, expect, test } from "vitest";
import type { GraphBuilder } from "../../../../src/graph/builder.ts";
import type { Value } from "../../../../src/graph/graph.ts";
import {
  groupQueryAttention,
  multiHeadAttention,
  rotaryEmbedding,
} from "../../../../src/graph/ops/attention.ts";
import "../../../support/allclose.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

const [HEADS, SIZE] = [2, 16]; // groupQueryAttention takes multiples of 16
const WIDTH = HEADS * SIZE;
const HALF = SIZE / 2;

interface Sizes {
  readonly rows: number;
  readonly slots: number;
  readonly keys: number;
}

/** The definition, in [rows, slots, heads * size]; `bias` is added to a score. */
function attended(
  { rows, slots, keys }: Sizes,
  [q, k, v]: readonly [Float32Array, Float32Array, Float32Array],
  bias: (row: number, slot: number, key: number) => number = () => 0,
): Float32Array {
  const result = new Float32Array(rows * slots * WIDTH);
  for (let row = 0; row < rows; row++)
    for (let slot = 0; slot < slots; slot++)
      for (let head = 0; head < HEADS; head++) {
        const query = (row * slots + slot) * WIDTH + head * SIZE;
        const memory = (key: number): number => (row * keys + key) * WIDTH + head * SIZE;
        const scores = Array.from({ length: keys }, (_, key) => {
          let score = 0;
          for (let i = 0; i < SIZE; i++) score += (q[query + i] ?? 0) * (k[memory(key) + i] ?? 0);
          return Math.exp(score / Math.sqrt(SIZE) + bias(row, slot, key));
        });
        const total = scores.reduce((a, b) => a + b, 0);
        for (let i = 0; i < SIZE; i++)
          result[query + i] = scores.reduce(
            (sum, score, key) => sum + (score / total) * (v[memory(key) + i] ?? 0),
            0,
          );
      }
  return result;
}

/** Rotates halves of each head by position * frequency. */
function rotated(x: Float32Array, angles: (slot: number, pair: number) => number): Float32Array {
  return x.map((value, at) => {
    const [slot, i] = [Math.floor(at / WIDTH), at % SIZE];
    const pair = i % (SIZE / 2);
    const other = (x[at - i + ((i + SIZE / 2) % SIZE)] ?? 0) * (i < SIZE / 2 ? -1 : 1);
    return value * Math.cos(angles(slot, pair)) + other * Math.sin(angles(slot, pair));
  });
}

describe("multiHeadAttention", () => {
  const sizes = { rows: 2, slots: 3, keys: 5 };
  const numbers = [waves(2 * 3 * WIDTH), waves(2 * 5 * WIDTH, 1), waves(2 * 5 * WIDTH, 2)] as const;
  const run = (bias?: ArrayLike<number>, biasShape = [2, 1, 3, 5]) =>
    evaluate(
      (g) => {
        const { rows, slots, keys } = sizes;
        const q = g.input("q", "f32", [rows, slots, WIDTH]);
        const [k, v] = [
          g.input("k", "f32", [rows, keys, WIDTH]),
          g.input("v", "f32", [rows, keys, WIDTH]),
        ];
        if (bias === undefined) return multiHeadAttention(g, { q, k, v }, HEADS);
        return multiHeadAttention(g, { q, k, v, bias: g.input("bias", "f32", biasShape) }, HEADS);
      },
      { inputs: { q: numbers[0], k: numbers[1], v: numbers[2], ...(bias ? { bias } : {}) } },
    );

  test("sees every key", async () => {
    expect((await run()).values).toBeAllclose(attended(sizes, numbers));
  });

  test("has a bias for each row, slot and key", async () => {
    const bias = waves(2 * 3 * 5, 3).map((x) => x * 3);
    const at = (row: number, slot: number, key: number) => bias[(row * 3 + slot) * 5 + key] ?? 0;
    expect((await run(bias)).values).toBeAllclose(attended(sizes, numbers, at));
  });

  test("sees nothing of a key with a large negative bias", async () => {
    const bias = Float32Array.from({ length: 30 }, (_, at) => (at % 5 === 2 ? -30000 : 0));
    const without = (_row: number, _slot: number, key: number) => (key === 2 ? -Infinity : 0);
    expect((await run(bias)).values).toBeAllclose(attended(sizes, numbers, without));
  });

  test("refuses a bias of another shape", async () => {
    await expect(run(new Float32Array(15), [1, 1, 3, 5])).rejects.toThrow("bias [1,1,3,5]");
  });
});

/** The angle of a pair at a position, and the tables of both functions for `positions` positions. */
const angle = (position: number, pair: number): number => position / 10 ** pair;
const table = (of: (angle: number) => number, positions: number): number[] =>
  Array.from({ length: positions * HALF }, (_, at) => of(angle(Math.floor(at / HALF), at % HALF)));

describe("rotaryEmbedding", () => {
  test("turns each row by its own positions", async () => {
    const positions = [3, 4, 5, 0, 1, 2];
    const x = waves(6 * WIDTH);
    const y = await evaluate(
      (g) => {
        const cos = g.input("cos", "f32", ["n", HALF]);
        const sin = g.input("sin", "f32", ["n", HALF]);
        const at = g.input("positions", "i64", [2, 3]);
        return rotaryEmbedding(g, g.input("x", "f32", [2, 3, WIDTH]), at, { cos, sin }, HEADS);
      },
      { inputs: { x, positions, cos: table(Math.cos, 6), sin: table(Math.sin, 6) } },
    );
    expect(y.values).toBeAllclose(rotated(x, (slot, pair) => angle(positions[slot] ?? 0, pair)));
  });
});

describe("groupQueryAttention", () => {
  const [capacity, past, slots] = [8, 2, 3];

  function build(g: GraphBuilder, width = WIDTH): Value {
    const [q, k, v] = [
      g.input("q", "f32", [1, slots, width]),
      g.input("k", "f32", [1, slots, WIDTH]),
      g.input("v", "f32", [1, slots, WIDTH]),
    ];
    const pastKey = g.input("pastKey", "f32", [1, HEADS, capacity, SIZE]);
    const pastValue = g.input("pastValue", "f32", [1, HEADS, capacity, SIZE]);
    const [lastIndex, total] = [g.input("last", "i32", [1]), g.input("total", "i32", [1])];
    const [cos, sin] = [g.input("cos", "f32", ["n", HALF]), g.input("sin", "f32", ["n", HALF])];
    const inputs = { q, k, v, pastKey, pastValue, lastIndex, total, cos, sin };
    return groupQueryAttention(g, inputs, { heads: HEADS, kvHeads: HEADS }).output;
  }

  test("is causal behind the cache and turns by the position there", async () => {
    const cache = (seed: number) => waves(HEADS * capacity * SIZE, seed);
    const [q, k, v] = [waves(slots * WIDTH), waves(slots * WIDTH, 1), waves(slots * WIDTH, 2)];
    const [pastKey, pastValue] = [cache(3), cache(4)];
    const lengths = { last: [past + slots - 1], total: [past + slots] };
    const tables = { cos: table(Math.cos, capacity), sin: table(Math.sin, capacity) };
    const y = await evaluate(build, {
      inputs: { q, k, v, pastKey, pastValue, ...lengths, ...tables },
    });

    const turned = (x: Float32Array) => rotated(x, (slot, pair) => angle(past + slot, pair));
    // The cache's [heads, capacity, size] as [slots, heads * size], then the new slots.
    const joined = (memory: Float32Array, fresh: Float32Array) =>
      Float32Array.from({ length: (past + slots) * WIDTH }, (_, at) => {
        const slot = Math.floor(at / WIDTH);
        const head = Math.floor((at % WIDTH) / SIZE);
        if (slot >= past) return fresh[at - past * WIDTH] ?? 0;
        return memory[(head * capacity + slot) * SIZE + (at % SIZE)] ?? 0;
      });
    const expected = attended(
      { rows: 1, slots, keys: past + slots },
      [turned(q), joined(pastKey, turned(k)), joined(pastValue, v)],
      (_row, slot, key) => (key <= past + slot ? 0 : -Infinity),
    );
    expect(y.values).toBeAllclose(expected);
  });

  test("refuses heads that do not fit the cache", async () => {
    await expect(evaluate((g) => build(g, WIDTH * 2))).rejects.toThrow("over a cache");
  });
});
