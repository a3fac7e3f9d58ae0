import { describe, expect, test } from "vitest";

import type { Storage, WeightUse } from "../../../src/base/weight-declaration.ts";
import { layOut, partBytes, shardLength } from "../../../src/weights/layout.ts";
import { planRequests } from "../../../src/weights/read-ahead.ts";
import type { WeightRecipe } from "../../../src/weights/recipe.ts";

describe("layOut", () => {
  const cases = randomRecipes(200);

  test("every byte of the stream belongs to one piece, and every part has all of its bytes", () => {
    for (const recipes of cases) {
      const shardBytes = 4096;
      const { tensors, totalBytes } = layOut(recipes, shardBytes);
      const covered = new Uint8Array(totalBytes);
      for (const tensor of tensors) {
        let bytes = 0;
        for (const piece of tensor.pieces) {
          expect(piece.shardOffset + piece.bytes).toBeLessThanOrEqual(shardBytes);
          const start = piece.shard * shardBytes + piece.shardOffset;
          for (let at = start; at < start + piece.bytes; at++) covered[at] = (covered[at] ?? 9) + 1;
          bytes += piece.bytes;
        }
        expect(bytes).toBe(partBytes(tensor));
      }
      expect(covered.every((count) => count === 1)).toBe(true);
    }
  });

  test("jobs follow each other and read every byte of a weight once", () => {
    for (const recipes of cases) {
      const { jobs, totalBytes } = layOut(recipes, 4096);
      let position = 0;
      for (const { streamStart, streamEnd } of jobs) {
        expect(streamStart).toBe(position);
        position = streamEnd;
      }
      expect(position).toBe(totalBytes);
      for (const recipe of recipes) {
        const slices = jobs.filter((job) => job.recipe === recipe).flatMap((job) => job.slices);
        expect(slices[0]?.start).toBe(recipe.start);
        expect(slices.at(-1)?.end).toBe(recipe.end);
        slices.slice(1).forEach((slice, i) => expect(slice.start).toBe(slices[i]?.end));
      }
    }
  });

  test("large weights are cut into slices, transposed ones into slices of one job", () => {
    const large = (use: WeightUse, storage: Storage): WeightRecipe =>
      recipeOf("w", use, storage, [4096, 4096], 0);
    expect(layOut([large("linear", "q4")]).jobs.length).toBe(8);
    expect(layOut([large("embedding", "f16")]).jobs.length).toBe(8);
    const transposed = layOut([large("linear", "f16")]).jobs;
    expect(transposed.map(({ slices }) => slices.length)).toEqual([8]);
  });

  test("the last shard is shorter, the others are full", () => {
    const layout = layOut([recipeOf("w", "plain", "f32", [1000], 0)], 1024);
    expect(layout.shardCount).toBe(4);
    expect([0, 3].map((shard) => shardLength(layout, shard))).toEqual([1024, 928]);
  });
});

describe("planRequests", () => {
  test("joins neighbours, skips large gaps, and stays below the largest request", () => {
    const recipes = [
      recipeOf("a", "plain", "f32", [100], 0),
      recipeOf("b", "plain", "f32", [100], 1000),
      recipeOf("c", "plain", "f32", [100], 10_000_000),
      recipeOf("d", "linear", "q4", [16_384, 2048], 20_000_000),
    ];
    const requests = planRequests(layOut(recipes).jobs);
    expect(requests.slice(0, 2).map(({ start, end }) => [start, end])).toEqual([
      [0, 1200],
      [10_000_000, 10_000_200],
    ]);
    expect(Math.max(...requests.map(({ start, end }) => end - start))).toBe(16 * 2 ** 20);
  });
});

function recipeOf(
  key: string,
  use: WeightUse,
  storage: Storage,
  shape: readonly number[],
  start: number,
): WeightRecipe {
  const end = start + shape.reduce((product, size) => product * size, 2);
  const place = { companion: "", file: "m.safetensors", dtype: "BF16" as const, start, end };
  return { key, tensor: key, use, storage, shape, ...place };
}

function randomRecipes(count: number): WeightRecipe[][] {
  let state = 5;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const uses = ["linear", "embedding", "plain"] as const;
  const storages = ["f32", "f16", "q8", "q4"] as const;
  return Array.from({ length: count }, () => {
    let start = 0;
    return Array.from({ length: 1 + below(6) }, (_, index) => {
      const use = uses[below(3)] ?? "plain";
      const storage = storages[use === "plain" ? below(2) : below(4)] ?? "f32";
      const width = use === "embedding" ? 32 * (1 + below(4)) : 1 + below(100);
      const recipe = recipeOf(`w${index}`, use, storage, [1 + below(60), width], start);
      start = recipe.end;
      return recipe;
    });
  });
}
