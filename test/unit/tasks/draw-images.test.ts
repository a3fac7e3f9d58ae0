import { describe, expect, test, vi } from "vitest";
import { assert, present } from "../../../src/base/assert.ts";
import type { Drawing } from "../../../src/base/drawing.ts";
import { brokenNumbers } from "../../../src/base/numerics.ts";
import type { RunEvent } from "../../../src/base/events.ts";
import type { EditRequest } from "../../../src/base/requests.ts";
import { FlowDrawing } from "../../../src/flow/flow-drawing.ts";
import type { VelocityField } from "../../../src/flow/integrate.ts";
import { firstNoise, torchNoise } from "../../../src/flow/noise.ts";
import { eulerSchedule, uniformLevels } from "../../../src/flow/schedule.ts";
import type { DrawRequest, Stages } from "../../../src/models/family.ts";
import { drawImages } from "../../../src/tasks/draw-images.ts";
import { createFakeRuntime, dataOf } from "../../support/fake-runtime.ts";

const REQUEST: EditRequest = {
  prompt: "a red circle",
  seed: 7,
  count: 1,
  previewEvery: 0,
  images: [],
};

const GREY = { width: 1, height: 1, data: new Uint8ClampedArray(4) };
const SHAPE = [1, 2, 2];

/** Stages whose field has the velocity `speed`, constant or by the step, and whose picture is 2 x 2. */
function createStages(speed: number | ((step: number) => number) = 1) {
  let step = 0;
  const speedOf = (): number => (typeof speed === "number" ? speed : speed(++step));
  const runtime = createFakeRuntime();
  const requests: DrawRequest[] = [];
  const decoded: number[][] = [];
  const field: VelocityField = {
    latents: runtime.createTensor("f32", SHAPE),
    velocity: runtime.createTensor("f32", [1, ...SHAPE]),
    time: runtime.createTensor("f32", [1]),
    evaluate: async () => void dataOf(field.velocity).fill(speedOf()),
  };
  const stages: Stages = {
    runtime,
    draw: {
      maxImages: 1,
      defaults: ([first]) => ({ width: 2, height: 2, steps: 5, guidance: first ? 4 : 3 }),
      async prepare(request) {
        const { width, height, steps, guidance } = request;
        if (width !== 2 || height !== 2) throw new RangeError("2 x 2 only");
        const schedule = eulerSchedule(uniformLevels(steps));
        const noise = firstNoise(request, SHAPE);
        requests.push(request);
        return new FlowDrawing(runtime, {
          field,
          schedule,
          weights: [1],
          guidance,
          latentShape: SHAPE,
          noise,
          decode: async () => {
            decoded.push([...dataOf(field.latents)]);
            return { width: 2, height: 2, data: new Uint8ClampedArray(16) };
          },
        });
      },
    },
    info: () => ({ stages: [], captured: {}, notes: [] }),
    dispose: async () => undefined,
  };
  return { stages, runtime, requests, decoded };
}

async function run(stages: Stages, request: EditRequest, signal?: AbortSignal) {
  const events: RunEvent[] = [];
  const task = drawImages(stages, request, signal);
  let next = await task.next();
  for (; !next.done; next = await task.next()) events.push(next.value);
  return { events, result: next.value };
}

describe("drawImages", () => {
  test("fills in the family's defaults and reports them", async () => {
    const { stages, requests } = createStages();
    const { events, result } = await run(stages, REQUEST);
    expect(result).toMatchObject({ steps: 5, guidance: 3, seed: 7, latentShape: [1, 1, 2, 2] });
    expect(requests).toMatchObject([{ prompt: "a red circle", guidance: 3, steps: 5, width: 2 }]);
    expect(events.filter(({ type }) => type === "step")).toHaveLength(5);
    expect(events.at(-1)?.type).toBe("image");
  });

  test("asks for the defaults of an edit where there are pictures to start from", async () => {
    const { stages, requests } = createStages();
    await run(stages, { ...REQUEST, images: [GREY] });
    expect(requests).toMatchObject([{ guidance: 4, images: [GREY] }]);
  });

  test("starts from torch's noise: data = noise + velocity", async () => {
    const { stages } = createStages(1);
    const { result } = await run(stages, REQUEST);
    const expected = torchNoise(7, 1, [1, 2, 2]).map((value) => value + 1);
    result.latents.forEach((value, k) => expect(value).toBeCloseTo(expected[k] ?? 0, 5));
  });

  test("draws `count` pictures from consecutive noise", async () => {
    const { stages } = createStages(1);
    const { result, events } = await run(stages, { ...REQUEST, count: 3 });
    expect(result.pictures).toHaveLength(3);
    const expected = torchNoise(7, 3, [1, 2, 2]).map((value) => value + 1);
    result.latents.forEach((value, k) => expect(value).toBeCloseTo(expected[k] ?? 0, 5));
    const images = events.flatMap((event) => (event.type === "image" ? [event.image] : []));
    expect(images).toEqual([0, 1, 2]);
  });

  test("takes injected latents as they are", async () => {
    const { stages } = createStages(1);
    const latents = Float32Array.of(1, 2, 3, 4);
    const { result } = await run(stages, { ...REQUEST, latents });
    expect([...result.latents].map((value) => Math.round(value))).toEqual([2, 3, 4, 5]);
  });

  test("shows previews of settled steps only, and none of the last", async () => {
    const { stages, decoded } = createStages(1);
    const latents = new Float32Array(4);
    const { events } = await run(stages, { ...REQUEST, latents, steps: 6, previewEvery: 2 });
    const previews = events.flatMap((event) => (event.type === "preview" ? [event.step] : []));
    expect(previews).toEqual([2, 4]);
    expect(decoded.map(([first = 0]) => Math.round(first * 6))).toEqual([2, 4, 6]);
  });

  test.each([
    ["latents of another size", { latents: new Float32Array(3) }],
    ["another picture size", { width: 4 }],
    ["no steps", { steps: 0 }],
    ["more pictures than it starts from", { images: [GREY, GREY] }],
  ])("refuses %s before any work", async (_, change) => {
    const { stages, requests } = createStages();
    await expect(run(stages, { ...REQUEST, ...change })).rejects.toThrow(RangeError);
    expect(requests).toEqual([]);
  });

  test.each([Number.NaN, Infinity])("names the step that gave %s", async (speed) => {
    const { stages, decoded } = createStages((step) => (step === 3 ? speed : 1));
    const drawn = run(stages, { ...REQUEST, steps: 6 });
    await expect(drawn).rejects.toMatchObject({ code: "numerics", details: { step: 3 } });
    expect(decoded).toEqual([]);
  });

  test("names the step also where only a preview shows it", async () => {
    const { stages } = createStages((step) => (step === 2 ? Number.NaN : 1));
    const { draw } = stages;
    const prepare = async (request: DrawRequest): Promise<Drawing> => {
      const drawing = await present(draw, "draw").prepare(request);
      assert(drawing instanceof FlowDrawing, "a flow");
      const decode = vi.spyOn(drawing.parts, "decode");
      decode.mockRejectedValue(brokenNumbers("The decoder gave no number", {}));
      return drawing;
    };
    const broken = { ...stages, draw: { ...present(draw, "draw"), prepare } };
    const drawn = run(broken, { ...REQUEST, previewEvery: 2 });
    await expect(drawn).rejects.toMatchObject({ code: "numerics", details: { step: 2 } });
  });

  test("refuses latents that never moved: a device that did nothing", async () => {
    const { stages } = createStages(0);
    await expect(run(stages, REQUEST)).rejects.toThrow(/The last latents are the first noise/);
  });

  test("refuses latents that are all one number: memory that was forgotten", async () => {
    const { stages, runtime } = createStages(1);
    vi.spyOn(runtime, "read").mockImplementation(async ({ dtype }) =>
      dtype === "f32" ? new Float32Array(4) : Uint32Array.of(5, 0),
    );
    await expect(run(stages, REQUEST)).rejects.toThrow(/All latents are 0/);
  });

  test("refuses latents of fewer evaluations than were asked for", async () => {
    const { stages, runtime } = createStages(1);
    const { kernels } = createFakeRuntime();
    let left = 3;
    vi.spyOn(runtime.kernels, "solverStep").mockImplementation((binding) => {
      const step = kernels.solverStep(binding);
      return () => void (left-- > 0 && step());
    });
    await expect(run(stages, REQUEST)).rejects.toMatchObject({
      code: "numerics",
      details: { done: 3, expected: 5 },
    });
  });

  test("rejects with the signal's own reason", async () => {
    const { stages } = createStages();
    const reason = new Error("enough");
    await expect(run(stages, REQUEST, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
