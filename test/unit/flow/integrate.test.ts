import { describe, expect, test } from "vitest";
import { brokenStep, integrate } from "../../../src/flow/integrate.ts";
import type { VelocityField } from "../../../src/flow/integrate.ts";
import { eulerSchedule, midpointSchedule, uniformLevels } from "../../../src/flow/schedule.ts";
import type { Tensor } from "../../../src/session/runtime.ts";
import { createFakeRuntime, dataOf, type FakeRuntime } from "../../support/fake-runtime.ts";

/** A field over two latents with `rows` rows; `velocityAt` gives each row's value. */
function createField(
  runtime: FakeRuntime,
  velocityAt: (x: number, t: number, row: number) => number,
  rows = 1,
): VelocityField & { evaluations: number } {
  const latents = runtime.createTensor("f32", [2]);
  const velocity = runtime.createTensor("f32", [rows, 2]);
  const time = runtime.createTensor("f32", [1]);
  const field = {
    latents,
    velocity,
    time,
    evaluations: 0,
    async evaluate() {
      field.evaluations += 1;
      const t = dataOf(time)[0] ?? 0;
      const x = dataOf(latents);
      for (let row = 0; row < rows; row++) {
        for (let k = 0; k < 2; k++) dataOf(velocity)[row * 2 + k] = velocityAt(x[k] ?? 0, t, row);
      }
    },
  };
  return field;
}

const euler = (steps: number) => eulerSchedule(uniformLevels(steps));
const midpoint = (steps: number) => midpointSchedule(uniformLevels(steps));

const progressOf = (runtime: FakeRuntime): Tensor => runtime.createTensor("u32", [2]);

async function run(
  runtime: FakeRuntime,
  field: VelocityField,
  schedule: number | ReturnType<typeof euler>,
  weights: readonly number[] = [1],
) {
  const seen = [];
  const options = {
    schedule: typeof schedule === "number" ? euler(schedule) : schedule,
    weights,
    progress: progressOf(runtime),
  };
  for await (const step of integrate(runtime, field, options)) seen.push(step);
  return seen;
}

describe("integrate", () => {
  test("is exact on a constant velocity, whatever the number of steps", async () => {
    for (const steps of [1, 3, 30]) {
      const runtime = createFakeRuntime();
      const field = createField(runtime, () => 2);
      runtime.write(field.latents, Float32Array.of(1, -1));
      await run(runtime, field, steps);
      expect(dataOf(field.latents)[0]).toBeCloseTo(3, 5);
      expect(dataOf(field.latents)[1]).toBeCloseTo(1, 5);
    }
  });

  test.each([
    ["halves", "order one, Euler", euler, 2],
    ["quarters", "order two, midpoint", midpoint, 4],
  ])("%s its error when the steps double (%s)", async (_verb, _order, scheduleOf, factor) => {
    const errorAfter = async (steps: number): Promise<number> => {
      const runtime = createFakeRuntime();
      const field = createField(runtime, (x) => x);
      runtime.write(field.latents, Float32Array.of(1, 1));
      await run(runtime, field, scheduleOf(steps));
      return Math.abs((dataOf(field.latents)[0] ?? 0) - Math.E);
    };
    const ratio = (await errorAfter(16)) / (await errorAfter(32));
    expect(ratio).toBeGreaterThan(factor * 0.9);
    expect(ratio).toBeLessThan(factor * 1.1);
  });

  test("guides: v = u + w (c - u)", async () => {
    const runtime = createFakeRuntime();
    const field = createField(runtime, (_x, _t, row) => (row === 0 ? 3 : 1), 2);
    await run(runtime, field, 4, [2, -1]);
    expect(dataOf(field.latents)[0]).toBeCloseTo(5, 5);
  });

  test("evaluates at the start of each interval", async () => {
    const runtime = createFakeRuntime();
    const times: number[] = [];
    const field = createField(runtime, (_x, t) => (times.push(t), 0));
    await run(runtime, field, 4);
    expect([...new Set(times)]).toEqual([0, 0.25, 0.5, 0.75]);
  });

  test("reports every step once and in order", async () => {
    const runtime = createFakeRuntime();
    const steps = await run(
      runtime,
      createField(runtime, () => 0),
      5,
    );
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    expect(steps.at(-1)?.isSettled).toBe(true);
  });

  test("reads nothing back and uploads nothing between the first noise and the last latent", async () => {
    const runtime = createFakeRuntime();
    const field = createField(runtime, () => 1);
    const loop = integrate(runtime, field, {
      schedule: euler(8),
      weights: [1],
      progress: progressOf(runtime),
    });
    await loop.next();
    const uploads = runtime.counters.uploads;
    for await (const _ of loop);
    expect(runtime.counters).toMatchObject({ uploads, readbacks: 0, drains: 0 });
  });

  test("keeps at most two steps in flight", async () => {
    const runtime = createFakeRuntime();
    runtime.holdFences = true;
    const field = createField(runtime, () => 1);
    const loop = integrate(runtime, field, {
      schedule: euler(6),
      weights: [1],
      progress: progressOf(runtime),
    });
    for (let step = 1; step <= 6; step++) {
      const next = loop.next();
      await new Promise((resolve) => setTimeout(resolve));
      expect(field.evaluations).toBe(Math.min(step + 1, 6));
      runtime.settleFence();
      expect((await next).value).toMatchObject({ step });
    }
  });

  test("lets nothing run ahead where it must settle", async () => {
    const runtime = createFakeRuntime();
    const field = createField(runtime, () => 1);
    const options = {
      schedule: euler(6),
      weights: [1],
      progress: progressOf(runtime),
      settleEvery: 2,
    };
    for await (const { step, isSettled } of integrate(runtime, field, options)) {
      if (step % 2 !== 0) continue;
      expect(isSettled).toBe(true);
      expect(field.evaluations).toBe(step);
    }
  });

  test("stops within one step of an abort, with the signal's own reason, and frees what it made", async () => {
    const runtime = createFakeRuntime();
    const field = createField(runtime, () => 1);
    const progress = progressOf(runtime);
    const mine = runtime.tensors.length;
    const controller = new AbortController();
    const reason = new Error("enough");
    const options = { schedule: euler(20), weights: [1], progress, signal: controller.signal };
    const loop = integrate(runtime, field, options);
    await expect(async () => {
      for await (const { step } of loop) if (step === 3) controller.abort(reason);
    }).rejects.toBe(reason);
    expect(field.evaluations).toBeLessThanOrEqual(5);
    expect(runtime.tensors.slice(mine).every(({ isDisposed }) => isDisposed)).toBe(true);
  });

  test.each([
    ["Euler", euler, 1],
    ["midpoint", midpoint, 2],
  ])("marks the first step that broke, %s", async (_name, scheduleOf, perStep) => {
    for (const at of [1, 4, 6]) {
      const runtime = createFakeRuntime();
      const field = createField(runtime, () => (field.evaluations > (at - 1) * perStep ? NaN : 1));
      const schedule = scheduleOf(6);
      const progress = progressOf(runtime);
      for await (const _ of integrate(runtime, field, { schedule, weights: [1], progress }));
      const [done = 0, mark = 0] = dataOf(progress);
      expect(done).toBe(6 * perStep);
      expect(brokenStep(schedule, mark)).toBe(at);
    }
  });

  test("marks nothing in a good loop, also not from the one before", async () => {
    const runtime = createFakeRuntime();
    const progress = progressOf(runtime);
    dataOf(progress).set([3, 3]);
    const field = createField(runtime, () => 1);
    const schedule = euler(3);
    for await (const _ of integrate(runtime, field, { schedule, weights: [1], progress }));
    expect([...dataOf(progress)]).toEqual([3, 0]);
    expect(brokenStep(schedule, 0)).toBeUndefined();
  });
});
