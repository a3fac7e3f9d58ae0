// What devices hold which models: a model of known sizes on a table of devices, and real ones at their limits.
import { describe, expect, test } from "vitest";
import { admitModel } from "../../../src/engine/admit-model.ts";
import type { DeviceMemory } from "../../../src/engine/admit-model.ts";
import type { KnownModel } from "../../../src/engine/known-model.ts";
import type { Graph } from "../../../src/graph/graph.ts";
import type { StageWork } from "../../../src/models/family.ts";
import { EveryName } from "../../../src/cli/read-config.ts";
import { detectFamily } from "../../../src/models/registry.ts";
import { PUBLISHED } from "../../support/published-configs.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** What onnxruntime is taken to keep for itself. */
const OVERHEAD = 256 * MIB;

interface Sizes {
  readonly held: number;
  readonly passing: number;
  readonly largest: number;
}

function graph(parts: Readonly<Record<string, number>>, sizes?: Sizes): Graph {
  const bytesOf = (name: string, bytes: number) => ({ name, dtype: "u8", shape: [bytes] }) as const;
  const { held = 0, passing = 0, largest = 0 } = sizes ?? {};
  return {
    name: "g",
    bytes: new Uint8Array(),
    inputs: [bytesOf("past", held)],
    outputs: [],
    weights: [],
    weightParts: Object.entries(parts).map(([name, bytes]) => bytesOf(name, bytes)),
    results: { largestBytes: largest, peakBytes: passing },
  };
}

/** A stage's work: a loop that holds, and a pass that does not. */
function work(held: number, passing: number, largest = 0): StageWork {
  return {
    loops: [graph({}, { held, passing: 0, largest: 0 })],
    passes: [graph({}, { held: GIB, passing, largest })],
  };
}

/** Two stages of 3 and 2 GiB that share half a GiB; the largest weight has 1 GiB. */
const core = { a: GIB, b: GIB, c: GIB / 2, shared: GIB / 2 };
const decoder = { d: GIB, e: GIB / 2, shared: GIB / 2 };
const RESIDENT = 4.5 * GIB;
/** Both stages hold 256 MiB; the core's results take 128 MiB at a time and the decoder's 768. */
const WORKING = (256 + 256 + 768) * MIB;
/** The core alone: the decoder takes 3 GiB. */
const TURN = 3 * GIB + (256 + 128) * MIB;

const model = {
  source: "owner/model@main",
  config: {},
  family: {
    declareWeights: () => [],
    stageGraphs: () => ({ core: [graph(core)], decoder: [graph(decoder)] }),
    stageWork: () => ({
      core: work(256 * MIB, 128 * MIB),
      decoder: work(256 * MIB, 768 * MIB, 256 * MIB),
    }),
  },
} as unknown as KnownModel;

interface Asked {
  readonly maxTensorBytes?: number;
  readonly memoryBytes?: number;
  readonly maxStageBytes?: number;
}

function device({ maxTensorBytes = GIB, memoryBytes = Infinity, maxStageBytes }: Asked = {}) {
  const probes: number[] = [];
  const found: DeviceMemory = {
    name: "a test GPU",
    float: "f16",
    maxTensorBytes,
    tensorLimit: "maxStorageBufferBindingSize",
    ...(maxStageBytes === undefined ? {} : { maxStageBytes }),
    probe: async (bytes) => {
      probes.push(bytes);
      return Math.min(bytes, memoryBytes);
    },
  };
  return { probes, find: async () => found };
}

const BINDINGS = [128 * MIB, 256 * MIB, 512 * MIB, GIB - 4, GIB, 2 * GIB - 4, 4 * GIB - 4];
const MEMORIES = [1, 2, 3, 3.5, 3.625, 4, 4.75, 5.5, 6, 8, 16].map((size) => size * GIB);
const DEVICES = BINDINGS.flatMap((binding) => MEMORIES.map((memory) => [binding, memory] as const));

describe("admitModel", () => {
  test.each(DEVICES)("buffers of %i, memory of %i", async (maxTensorBytes, memoryBytes) => {
    const { find } = device({ maxTensorBytes, memoryBytes });
    const admission = admitModel(model, "q4", {}, find);
    const room = memoryBytes - OVERHEAD;
    if (maxTensorBytes < GIB) {
      await expect(admission).rejects.toMatchObject({
        code: "out-of-memory",
        details: { limit: "maxStorageBufferBindingSize", weight: "a", neededBytes: GIB },
      });
    } else if (room < TURN) {
      const details = { neededBytes: TURN, availableBytes: room };
      await expect(admission).rejects.toMatchObject({ code: "out-of-memory", details });
    } else {
      const budget = { memoryBudgetBytes: Math.max(3 * GIB, room - WORKING) };
      expect(await admission).toEqual(room < RESIDENT + WORKING ? budget : {});
    }
  });

  test("asks the device for what it needs, once, and not where a budget was given", async () => {
    const { find, probes } = device();
    await admitModel(model, "q4", {}, find);
    expect(probes).toEqual([RESIDENT + WORKING + OVERHEAD]);
    expect(await admitModel(model, "q4", { memoryBudgetBytes: 3 * GIB }, find)).toEqual({
      memoryBudgetBytes: 3 * GIB,
    });
    expect(probes).toHaveLength(1);
  });

  test("refuses a budget that the largest stage does not fit in", async () => {
    const asked = { memoryBudgetBytes: 3 * GIB - 1 };
    await expect(admitModel(model, "q4", asked, device().find)).rejects.toMatchObject({
      code: "out-of-memory",
      details: { limit: "memoryBudgetBytes", neededBytes: 3 * GIB, availableBytes: 3 * GIB - 1 },
    });
  });

  test("refuses a stage that a heap cannot address", async () => {
    const { find } = device({ maxStageBytes: 2 * GIB });
    await expect(admitModel(model, "q4", {}, find)).rejects.toThrow(/its largest stage/);
    expect(await admitModel(model, "q4", {}, device({ maxStageBytes: TURN }).find)).toEqual({});
  });

  test("refuses an intermediate result that no buffer may hold, and names its graph", async () => {
    const stageWork = () => ({
      core: work(0, 0),
      decoder: work(0, 3 * GIB, GIB + 4),
    });
    const large = { ...model, family: { ...model.family, stageWork } } as unknown as KnownModel;
    const admission = admitModel(large, "q4", {}, device({ maxTensorBytes: GIB }).find);
    await expect(admission).rejects.toMatchObject({
      code: "out-of-memory",
      message: expect.stringContaining("a picture of its usual size"),
      details: {
        limit: "maxStorageBufferBindingSize",
        neededBytes: GIB + 4,
        availableBytes: GIB,
        graph: "g",
      },
    });
  });

  test("asks no device for what every one has", async () => {
    const stageGraphs = () => ({ core: [graph({ a: 10 })] });
    const family = { ...model.family, stageGraphs, stageWork: () => ({ core: work(1, 1) }) };
    const small = { ...model, family } as unknown as KnownModel;
    const { find, probes } = device();
    expect(await admitModel(small, "q4", {}, find)).toEqual({});
    expect(probes).toEqual([]);
  });

  test("falls back to wasm without WebGPU, unless WebGPU was asked for", async () => {
    expect(await admitModel(await published("JanusFlow-1.3B"), "q4", {})).toEqual({});
    const asked = { backend: "webgpu" } as const;
    await expect(admitModel(model, "q4", asked)).rejects.toMatchObject({
      code: "webgpu-unavailable",
    });
  });
});

describe("published models", () => {
  test.each([
    ["JanusFlow-1.3B", "q4", 2 ** 27, "maxStorageBufferBindingSize"], // a result of 151 MB
    ["JanusFlow-1.3B", "q4", 2 ** 28, undefined],
    ["JanusFlow-1.3B", "f16", 2 ** 28, "maxStorageBufferBindingSize"],
    ["JanusFlow-1.3B", "f32", 2 ** 31, undefined],
  ] as const)("%s in %s with buffers of %i", async (name, quantization, maxTensorBytes, limit) => {
    const admission = admitModel(
      await published(name),
      quantization,
      {},
      device({ maxTensorBytes }).find,
    );
    if (limit === undefined) expect(await admission).toEqual({});
    else await expect(admission).rejects.toMatchObject({ details: { limit } });
  });

  // 3.93 GiB of weights, and the caches of a drawing and an answer with their results 2.75 GiB beside them: in 5 GiB
  // the weights are, and the first drawing is not.
  test("Anole-7b is refused where its weights fit and its caches do not", async () => {
    const anole = await published("Anole-7b");
    const { find } = device({ maxTensorBytes: 2 * GIB, memoryBytes: 5 * GIB });
    await expect(admitModel(anole, "q4", {}, find)).rejects.toMatchObject({
      code: "out-of-memory",
      details: {
        limit: "a test GPU's memory",
        neededBytes: 7_173_996_848,
        availableBytes: 5 * GIB - OVERHEAD,
      },
    });
    const roomy = device({ maxTensorBytes: 2 * GIB, memoryBytes: 8 * GIB });
    expect(await admitModel(anole, "q4", {}, roomy.find)).toEqual({});
  });

  test("OmniGen-v1 is refused where no buffer may hold a result of its decoder", async () => {
    const { find } = device({ maxTensorBytes: GIB - 4 });
    await expect(admitModel(await published("OmniGen-v1"), "q4", {}, find)).rejects.toMatchObject({
      details: { neededBytes: GIB, availableBytes: GIB - 4 },
    });
  });
});

async function published(name: string): Promise<KnownModel> {
  const files = PUBLISHED[name]?.files ?? {};
  const family = await detectFamily(files["config.json"]);
  return { source: name, family, config: family.parse(files, new EveryName()) };
}
