// What the proof of a captured loop lets through and what it refuses, on sessions that replay as told.
import { expect, test } from "vitest";
import type { Graph } from "../../../src/graph/graph.ts";
import { createLoopSession, type LoopBinding } from "../../../src/session/loop-session.ts";
import type { Session, Tensor } from "../../../src/session/runtime.ts";
import { createFakeRuntime, dataOf } from "../../support/fake-runtime.ts";

const GRAPH: Graph = {
  name: "body",
  bytes: new Uint8Array(),
  inputs: [],
  outputs: [],
  weights: [],
  weightParts: [],
};

type Ports = Readonly<Record<string, Tensor>>;
type Body = (feeds: Ports, fetches: Ports) => void;

// first = 2 x, second = x + what the cache got, zero = 0; the cache is written at the slot that a feed names.
const STEPS = {
  cache: (feeds, fetches) => {
    numbers(fetches, "present")[numbers(feeds, "slot")[0] ?? 0] = sum(numbers(feeds, "x"));
  },
  first: (feeds, fetches) => numbers(fetches, "first").set(numbers(feeds, "x").map((x) => 2 * x)),
  second: (feeds, fetches) => {
    const cached = sum(numbers(fetches, "present"));
    numbers(fetches, "second").set(numbers(feeds, "x").map((x) => x + cached));
  },
  zero: (_, fetches) => numbers(fetches, "zero").fill(0),
} satisfies Record<string, Body>;

type Step = keyof typeof STEPS;
const ALL = Object.keys(STEPS) as Step[];

test("keeps a captured session that repeats every step", async () => {
  const { runtime, binding, disposed } = prepare({ replayed: ALL });
  const loop = await createLoopSession(runtime, binding);
  expect(loop.isCaptured).toBe(true);
  expect(loop.note).toBeUndefined();
  expect(disposed).toEqual(["plain"]);
  numbers(binding.feeds, "x").set([1, 2]);
  await loop.run();
  expect(numbers(binding.fetches, "first")).toEqual(Float32Array.of(2, 4));
});

test.each([
  ["first", "first"],
  ["second", "second"],
  // Zeros are right, and nothing wrote them.
  ["zero", "zero"],
  // Nothing reads the cache but the second output.
  ["cache", "second"],
] as const)("refuses one that leaves %s out: %s differs", async (missing, wrong) => {
  const replayed = ALL.filter((step) => step !== missing);
  const { runtime, binding, disposed } = prepare({ replayed });
  const loop = await createLoopSession(runtime, binding);
  expect(loop.isCaptured).toBe(false);
  expect(loop.note).toBe(
    `body: the captured run gave other numbers in ${wrong}, so the loop runs uncaptured`,
  );
  expect(disposed).toEqual(["captured"]);
});

test("names every output that differs", async () => {
  const { runtime, binding } = prepare({ replayed: ["cache", "zero"] });
  const { note } = await createLoopSession(runtime, binding);
  expect(note).toContain("other numbers in first, second,");
});

test("refuses one that repeats the numbers it was recorded with", async () => {
  const { runtime, binding } = prepare({ replayed: ALL, isFrozen: true });
  const { isCaptured, note } = await createLoopSession(runtime, binding);
  expect(isCaptured).toBe(false);
  expect(note).toContain("other numbers in first, second,");
});

test.each([{ replayed: ALL }, { replayed: [] }, { replayed: "throws" as const }])(
  "puts free feeds back and leaves the others alone: replays $replayed",
  async ({ replayed }) => {
    const { runtime, binding } = prepare({ replayed });
    const before = runtime.tensors.length;
    numbers(binding.feeds, "x").set([7, 8]);
    numbers(binding.feeds, "slot").set([1]);
    await createLoopSession(runtime, binding);
    expect(numbers(binding.feeds, "x")).toEqual(Float32Array.of(7, 8));
    expect(numbers(binding.feeds, "slot")).toEqual(Int32Array.of(1));
    const added = runtime.tensors.slice(before);
    expect(added.length).toBeGreaterThan(0);
    expect(added.every(({ isDisposed }) => isDisposed)).toBe(true);
  },
);

test("says what the device said when it cannot capture", async () => {
  const { runtime, binding } = prepare({ replayed: "throws" });
  const { isCaptured, note } = await createLoopSession(runtime, binding);
  expect(isCaptured).toBe(false);
  expect(note).toBe("body: could not be captured (Error: no capture), so the loop runs uncaptured");
});

test("captures nothing on wasm and touches no feed", async () => {
  const { runtime, binding } = prepare({ replayed: ALL, backend: "wasm" });
  const loop = await createLoopSession(runtime, binding);
  expect(loop).toMatchObject({ isCaptured: false });
  expect(loop.note).toBeUndefined();
  expect(runtime.counters.uploads).toBe(0);
});

interface Replay {
  /** Steps that a replay repeats; or capturing fails. */
  readonly replayed: readonly Step[] | "throws";
  /** A replay reads the feeds of the first run. */
  readonly isFrozen?: boolean;
  readonly backend?: "webgpu" | "wasm";
}

function prepare({ replayed, isFrozen = false, backend = "webgpu" }: Replay) {
  const runtime = createFakeRuntime(backend);
  const disposed: string[] = [];
  const state = runtime.createTensor("f32", [4]);
  const feeds = {
    x: runtime.createTensor("f32", [2]),
    slot: runtime.createTensor("i32", [1]),
    past: state,
  };
  const fetches = {
    first: runtime.createTensor("f32", [2]),
    second: runtime.createTensor("f32", [2]),
    zero: runtime.createTensor("f32", [2]),
    present: state,
  };
  const session = (name: string, run: Body): Session => ({
    name,
    isCaptured: name === "captured",
    run: async (given, into = {}) => {
      run(given, into);
      return { ...into };
    },
    dispose: async () => void disposed.push(name),
  });
  runtime.createSession = async (_, __, { capture = false } = {}) => {
    if (!capture) return session("plain", (given, into) => runSteps(ALL, given, into));
    if (replayed === "throws") throw new Error("no capture");
    let recorded: Ports | undefined;
    return session("captured", (given, into) => {
      const isReplay = recorded !== undefined;
      recorded ??= { ...given, x: runtime.createTensor("f32", [2], numbers(given, "x")) };
      if (!isReplay) recorded["x"]?.dispose();
      runSteps(isReplay ? replayed : ALL, isFrozen ? recorded : given, into);
    });
  };
  const binding: LoopBinding = {
    graph: GRAPH,
    weights: new Map(),
    feeds,
    fetches,
    freeFeeds: ["x"],
  };
  return { runtime, binding, disposed };
}

function runSteps(steps: readonly Step[], feeds: Ports, fetches: Ports): void {
  for (const step of steps) STEPS[step](feeds, fetches);
}

function numbers(ports: Ports, name: string): Float32Array {
  const tensor = ports[name];
  if (tensor === undefined) throw new Error(`no ${name}`);
  return dataOf(tensor) as Float32Array;
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}
