// The laws of the kernels that solve and guide, the same for every backend.
import { expect, test } from "vitest";
import { present } from "../../src/base/assert.ts";
import { eulerSchedule, midpointSchedule, type Schedule } from "../../src/flow/schedule.ts";
import type { Runtime, Tensor } from "../../src/session/runtime.ts";
import { largestDifference } from "../support/closeness.ts";

/** Guidance, moves and times of a solver. */
export function testSolverStep(get: () => Runtime): void {
  const f32 = (values: ArrayLike<number>, shape = [values.length]) =>
    get().createTensor("f32", shape, Float32Array.from(values));

  function bind(
    initial: ArrayLike<number>,
    velocity: Tensor,
    { moves, times, timeWidth }: Pick<Schedule, "moves" | "times" | "timeWidth">,
    weights: readonly number[] = [1],
  ) {
    const [latents, start] = [f32(initial), f32(initial)];
    const progress = get().createTensor("u32", [2]);
    const time = f32(times.slice(0, timeWidth));
    const step = get().kernels.solverStep({
      latents,
      start,
      velocity,
      progress,
      time,
      weights,
      moves: f32(moves, [moves.length / 2, 2]),
      times: f32(times, [times.length / timeWidth, timeWidth]),
    });
    return { step, latents, progress, time };
  }

  test("is exact on a constant velocity of one row", async () => {
    const schedule = eulerSchedule(Float32Array.from({ length: 9 }, (_, n) => n / 8));
    const { step, latents, progress, time } = bind([0, 1, 2, 3], f32([1, 2, 4, 8]), schedule);
    for (let n = 0; n < 8; n++) step();
    expect(await get().read(latents)).toEqual(Float32Array.of(1, 3, 6, 11));
    expect(await get().read(progress)).toEqual(Uint32Array.of(8, 0));
    expect(await get().read(time)).toEqual(Float32Array.of(7 / 8));
  });

  test.each([
    {
      rows: [
        [1, 2],
        [3, 8],
      ],
      weights: [3, -2],
    },
    {
      rows: [
        [1, 2],
        [3, 8],
        [5, 4],
      ],
      weights: [2, 0.5, -1.5],
    },
  ])("mixes $rows.length rows by their weights", async ({ rows, weights }) => {
    const velocity = f32(rows.flat(), [rows.length, 2]);
    const { step, latents } = bind(
      [0, 0],
      velocity,
      eulerSchedule(Float32Array.of(0, 0.5)),
      weights,
    );
    step();
    const mixed = [0, 1].map((n) =>
      rows.reduce((sum, row, r) => sum + (weights[r] ?? 0) * (row[n] ?? 0), 0),
    );
    expect(await get().read(latents)).toEqual(Float32Array.from(mixed, (v) => v / 2));
  });

  test.each([Number.NaN, Infinity, -Infinity])("marks the evaluation that gave %s", async (bad) => {
    const velocity = f32(new Float32Array(700).fill(1));
    const schedule = eulerSchedule(Float32Array.from({ length: 6 }, (_, n) => n / 5));
    const { step, progress } = bind(new Float32Array(700), velocity, schedule);
    for (let evaluation = 0; evaluation < 5; evaluation++) {
      if (evaluation === 2) get().write(velocity, Float32Array.of(bad), 4 * 650);
      step();
    }
    expect(await get().read(progress)).toEqual(Uint32Array.of(5, 5 - 2));
  });

  test("moves progress and time through a whole schedule, and stops at its end", async () => {
    const levels = Float32Array.from({ length: 31 }, (_, n) => Math.cos((n * Math.PI) / 60));
    const last = present(levels[30], "last level");
    const initial = Float32Array.from({ length: 1000 }, (_, n) => Math.sin(n));
    const rows = Float32Array.from({ length: 2000 }, (_, n) => Math.cos(n));
    const schedule = eulerSchedule(levels);
    const { step, latents, progress, time } = bind(
      initial,
      f32(rows, [2, 1000]),
      schedule,
      [2, -1],
    );
    for (let n = 0; n < 30; n++) step();
    const result = await get().read(latents);
    const expected = initial.map((x, n) => {
      const [c = 0, u = 0] = [rows[n], rows[n + 1000]];
      return x + (last - 1) * (u + 2 * (c - u));
    });
    // 30 roundings of numbers around 3.
    expect(largestDifference(result, expected)).toBeLessThan(1e-5);
    expect(await get().read(time)).toEqual(Float32Array.of(levels[29] ?? 0));
    step();
    expect(await get().read(progress)).toEqual(Uint32Array.of(30, 0));
    expect(await get().read(latents)).toEqual(result);
  });

  test("goes on from the start of a step until a move ends it", async () => {
    const schedule = midpointSchedule(Float32Array.of(0, 1));
    const { step, latents, time } = bind([10], f32([4]), schedule);
    step();
    expect(await get().read(latents)).toEqual(Float32Array.of(12));
    expect(await get().read(time)).toEqual(Float32Array.of(0.5));
    step();
    expect(await get().read(latents)).toEqual(Float32Array.of(14));
  });

  test("hands on as many numbers for a time as the field reads", async () => {
    const schedule = {
      moves: Float32Array.of(1, 1, 1, 1),
      times: Float32Array.of(1, 2, 3, 4, 5, 6),
    };
    const { step, time } = bind([0], f32([0]), { ...schedule, timeWidth: 3 });
    step();
    expect(await get().read(time)).toEqual(Float32Array.of(4, 5, 6));
  });
}

/** Guidance over logits. */
export function testMixRows(get: () => Runtime): void {
  test.each([[[1]], [[5, -4]], [[3, -1.8, -0.2]], [[1, 2, 3, 4]]])("weighs %s", async (weights) => {
    const runtime = get();
    const values = Float32Array.from({ length: 700 * weights.length }, (_, n) => n % 13);
    const rows = runtime.createTensor("f32", [weights.length, 1, 700], values);
    const mixed = runtime.createTensor("f32", [1, 1, 700]);
    runtime.kernels.mixRows({ rows, weights, mixed })();
    const expected = Float32Array.from({ length: 700 }, (_, n) =>
      weights.reduce((sum, weight, row) => sum + weight * ((row * 700 + n) % 13), 0),
    );
    expect(largestDifference(await runtime.read(mixed), expected)).toBeLessThan(1e-4);
  });
}
