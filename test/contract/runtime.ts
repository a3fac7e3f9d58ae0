// The laws of session/runtime.ts, the same for every backend. A suite, not a test file: each backend's
// test calls it with its own way to start a runtime.
import { beforeAll, describe, expect, test } from "vitest";
import { present } from "../../src/base/assert.ts";
import { f32ToF16 } from "../../src/base/float16.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { largestDifference } from "../support/closeness.ts";
import { decode, decoderWeights, difference } from "../support/decoder-graph.ts";
import { onnxGraph } from "../support/onnx.ts";
import { flowLoop, guidedVelocity } from "../support/velocity-graph.ts";
import { testRanges, testTensors } from "./tensors.ts";

/** Runs the suite on one runtime that all its tests share. */
export function runRuntimeContract(create: () => Promise<Runtime>): void {
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await create();
  }, 60_000);
  describe("tensors", () => testTensors(() => runtime));
  describe("write and copy", () => testRanges(() => runtime));
  describe("sessions", () => testSessions(() => runtime));
  describe("captured sessions", () => testCapture(() => runtime));
  describe("a flow loop", () => testFlow(() => runtime));
  describe("counters", () => testCounters(() => runtime));
}

// y = x * scale + x, rows of any number; z has the shape of x.
function scaleGraph(name = "scale") {
  return onnxGraph({
    name,
    inputs: [{ name: "x", dtype: "f32", shape: ["rows", 2] }],
    outputs: [
      { name: "y", dtype: "f32", shape: ["rows", 2] },
      { name: "z", dtype: "f32", shape: ["rows", 2] },
    ],
    weightParts: [{ name: "scale", dtype: "f32", shape: [2] }],
    nodes: [
      { op: "Mul", inputs: ["x", "scale"], outputs: ["z"] },
      { op: "Add", inputs: ["z", "x"], outputs: ["y"] },
    ],
  });
}

const scaleOf = (runtime: Runtime) =>
  new Map([["scale", runtime.createTensor("f32", [2], Float32Array.of(10, 100))]]);

function testSessions(get: () => Runtime): void {
  const rows = (...values: number[]) =>
    get().createTensor("f32", [values.length / 2, 2], Float32Array.from(values));

  test("run over weights that stay the caller's, with any size of a named dimension", async () => {
    const weights = scaleOf(get());
    const session = await get().createSession(scaleGraph(), weights);
    const one = await session.run({ x: rows(1, 2) });
    const two = await session.run({ x: rows(1, 2, 3, 4) });
    expect(await get().read(present(one["y"], "y"))).toEqual(Float32Array.of(11, 202));
    expect(present(two["y"], "y").shape).toEqual([2, 2]);
    await session.dispose();
    expect(await get().read(present(two["z"], "z"))).toEqual(Float32Array.of(10, 200, 30, 400));
    expect(await get().read(present(weights.get("scale"), "scale"))).toEqual(
      Float32Array.of(10, 100),
    );
  });

  test("compute in the runtime's float type", async () => {
    const { float } = get();
    const graph = onnxGraph({
      name: "float",
      inputs: [{ name: "x", dtype: float, shape: [3] }],
      outputs: [{ name: "y", dtype: float, shape: [3] }],
      weightParts: [{ name: "scale", dtype: float, shape: [1] }],
      nodes: [{ op: "Mul", inputs: ["x", "scale"], outputs: ["y"] }],
    });
    const floats = (...values: number[]) => {
      const data = Float32Array.from(values);
      return get().createTensor(float, [values.length], float === "f16" ? f32ToF16(data) : data);
    };
    const session = await get().createSession(graph, new Map([["scale", floats(0.5)]]));
    const { y } = await session.run({ x: floats(1, -3, 1.001) });
    const expected = float === "f16" ? 0.50048828125 : Math.fround(1.001) / 2;
    expect(await get().read(present(y, "y"))).toEqual(Float32Array.of(0.5, -1.5, expected));
    await session.dispose();
  });

  test("write into the tensors that are fetched and allocate the others", async () => {
    const session = await get().createSession(scaleGraph(), scaleOf(get()));
    const y = get().createTensor("f32", [1, 2]);
    const before = get().memory.tensorBytes;
    const outputs = await session.run({ x: rows(1, 1) }, { y });
    expect(outputs["y"]).toBe(y);
    expect(await get().read(y)).toEqual(Float32Array.of(11, 101));
    expect(get().memory.tensorBytes).toBeGreaterThan(before);
    present(outputs["z"], "z").dispose();
  });

  test("share one lock: runs and creations at the same time all succeed", async () => {
    const names = ["a", "b", "c"];
    const sessions = await Promise.all(
      names.map((name) => get().createSession(scaleGraph(name), scaleOf(get()))),
    );
    const inputs = Array.from({ length: 6 }, (_, n) => rows(n, n));
    const results = await Promise.all(
      inputs.flatMap((x) => sessions.map((session) => session.run({ x }))),
    );
    const values = await Promise.all(results.map(({ y }) => get().read(present(y, "y"))));
    values.forEach((value, n) => {
      const x = Math.floor(n / sessions.length);
      expect(value).toEqual(Float32Array.of(11 * x, 101 * x));
    });
    await Promise.all(sessions.map((session) => session.dispose()));
  });

  test("may be disposed twice", async () => {
    const session = await get().createSession(scaleGraph(), scaleOf(get()));
    await session.dispose();
    await session.dispose();
    await expect(session.run({ x: rows(1, 1) })).rejects.toThrow("disposed");
  });

  test("name what is wrong with a binding", async () => {
    const session = await get().createSession(scaleGraph(), scaleOf(get()));
    const x = rows(1, 1);
    const wide = get().createTensor("f32", [1, 3]);
    await expect(session.run({})).rejects.toThrow("input x is not fed");
    await expect(session.run({ x, w: x })).rejects.toThrow("no input w");
    await expect(session.run({ x: wide })).rejects.toThrow("f32 [rows, 2], got f32 [1, 3]");
    await expect(session.run({ x }, { q: x })).rejects.toThrow("no output q");
    await expect(session.run({ x }, { y: rows(1, 1, 2, 2) })).rejects.toThrow("y is f32");
    await expect(get().createSession(scaleGraph(), new Map())).rejects.toThrow("scale is missing");
  });

  test("say which graph onnxruntime refuses", async () => {
    const graph = { ...scaleGraph("broken"), bytes: Uint8Array.of(8, 10, 58, 0) };
    await expect(get().createSession(graph, scaleOf(get()))).rejects.toThrow("compile broken");
  });
}

function testCapture(get: () => Runtime): void {
  test(
    "equal uncaptured ones bit for bit, cache and lengths changing in place",
    { timeout: 120_000 },
    async () => {
      const weights = decoderWeights(get());
      const plain = await decode(get(), weights, { capture: false, steps: 10 });
      const captured = await decode(get(), weights, { capture: true, steps: 10 });
      expect(new Set(plain.ids).size).toBeGreaterThan(3);
      expect(captured.total).toEqual(Int32Array.of(11));
      expect(captured.ids).toEqual(plain.ids);
      expect(captured.logits).toEqual(plain.logits);
      expect(captured.key).toEqual(plain.key);
    },
  );

  test("keep the tensors of their first run", async () => {
    const graph = staticGraph();
    const session = await get().createSession(graph, new Map(), { capture: true });
    const x = get().createTensor("f32", [4], Float32Array.of(1, 2, 3, 4));
    const y = await get().createStableTensor("f32", [4]);
    await session.run({ x }, { y });
    await session.run({ x }, { y });
    get().write(x, Float32Array.of(5, 6, 7, 8));
    await session.run({ x }, { y });
    expect(await get().read(y)).toEqual(Float32Array.of(10, 12, 14, 16));
    const other = get().createTensor("f32", [4]);
    await expect(session.run({ x: other }, { y })).rejects.toThrow(
      "keeps the tensor of the first run",
    );
    await session.dispose();
  });

  test("want every output fetched into a stable tensor", async () => {
    const session = await get().createSession(staticGraph(), new Map(), { capture: true });
    const x = get().createTensor("f32", [4]);
    await expect(session.run({ x })).rejects.toThrow("y must be fetched");
    const y = get().createTensor("f32", [4]);
    await expect(session.run({ x }, { y })).rejects.toThrow("createStableTensor");
    await session.dispose();
  });
}

function staticGraph() {
  return onnxGraph({
    name: "double",
    inputs: [{ name: "x", dtype: "f32", shape: [4] }],
    outputs: [{ name: "y", dtype: "f32", shape: [4] }],
    nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"] }],
  });
}

function testFlow(get: () => Runtime): void {
  test("of 30 captured steps is Euler's, and touches the device with submits and marks only", async () => {
    const steps = 30;
    const times = Float32Array.from({ length: steps + 1 }, (_, n) => (n / steps) ** 2);
    const [scale, guidance] = [-0.75, 3];
    const { start, latents, progress, evaluate, advance } = await flowLoop(
      get(),
      times,
      scale,
      guidance,
    );
    await get().read(latents);

    const before = { ...get().counters };
    const marks: Promise<void>[] = [];
    for (let step = 0; step < steps; step++) {
      await evaluate();
      advance();
      marks.push(get().fence());
      await marks[step - 1];
    }
    const { submits, ...others } = difference(before, { ...get().counters });
    expect(others).toEqual({ readbacks: 0, uploads: 0, drains: 0, fences: steps });
    expect(submits).toBe(2 * steps);

    const expected = start.map((x) => {
      for (let n = 0; n < steps; n++) {
        const [t = 0, next = 0] = [times[n], times[n + 1]];
        x += (next - t) * guidedVelocity(x, t, scale, guidance);
      }
      return x;
    });
    // Numbers below 4, 30 steps of f32.
    expect(largestDifference(await get().read(latents), expected)).toBeLessThan(1e-5);
    expect(await get().read(progress)).toEqual(Uint32Array.of(steps, 0));
  });
}

function testCounters(get: () => Runtime): void {
  test("count uploads, submits, read backs and marks", async () => {
    const { counters } = get();
    const before = { ...counters };
    const [a, b] = [
      get().createTensor("f32", [1], Float32Array.of(1)),
      get().createTensor("f32", [1]),
    ];
    get().write(b, Float32Array.of(2));
    expect(counters.uploads - before.uploads).toBe(2);
    get().copy(a, b);
    expect(counters.submits - before.submits).toBe(1);
    await get().fence();
    expect(counters.fences - before.fences).toBe(1);
    await get().read(b);
    expect(counters.readbacks - before.readbacks).toBe(1);
    expect(counters.drains).toBe(before.drains);
  });
}
