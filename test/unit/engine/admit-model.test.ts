// What devices hold which models: a model of known sizes on a table of devices, and real ones at their limits.
import { describe, expect, test } from "vitest";
import { admitModel } from "../../../src/engine/admit-model.ts";
import type { DeviceMemory } from "../../../src/engine/admit-model.ts";
import type { KnownModel } from "../../../src/engine/known-model.ts";
import type { Graph } from "../../../src/graph/graph.ts";
import { EveryName } from "../../../src/cli/read-config.ts";
import { detectFamily } from "../../../src/models/registry.ts";
import { PUBLISHED } from "../../support/published-configs.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** What is left for caches and intermediate results. */
const WORKING = 256 * MIB;

function graph(parts: Readonly<Record<string, number>>): Graph {
  const weightParts = Object.entries(parts).map(([name, bytes]) => {
    return { name, dtype: "u8", shape: [bytes] } as const;
  });
  return { name: "g", bytes: new Uint8Array(), inputs: [], outputs: [], weights: [], weightParts };
}

/** Two stages of 3 and 2 GiB that share half a GiB; the largest weight has 1 GiB. */
const core = { a: GIB, b: GIB, c: GIB / 2, shared: GIB / 2 };
const decoder = { d: GIB, e: GIB / 2, shared: GIB / 2 };
const RESIDENT = 4.5 * GIB;

const model = {
  source: "owner/model@main",
  config: {},
  family: {
    declareWeights: () => [],
    stageGraphs: () => ({ core: [graph(core)], decoder: [graph(decoder)] }),
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
const MEMORIES = [1, 2, 3, 3.25, 4, 4.75, 6, 8, 16].map((size) => size * GIB);
const DEVICES = BINDINGS.flatMap((binding) => MEMORIES.map((memory) => [binding, memory] as const));

describe("admitModel", () => {
  test.each(DEVICES)("buffers of %i, memory of %i", async (maxTensorBytes, memoryBytes) => {
    const { find } = device({ maxTensorBytes, memoryBytes });
    const admission = admitModel(model, "q4", {}, find);
    const room = memoryBytes - WORKING;
    if (maxTensorBytes < GIB) {
      await expect(admission).rejects.toMatchObject({
        code: "out-of-memory",
        details: { limit: "maxStorageBufferBindingSize", weight: "a", neededBytes: GIB },
      });
    } else if (room < 3 * GIB) {
      const details = { neededBytes: 3 * GIB, availableBytes: room };
      await expect(admission).rejects.toMatchObject({ code: "out-of-memory", details });
    } else {
      expect(await admission).toEqual(room < RESIDENT ? { memoryBudgetBytes: room } : {});
    }
  });

  test("asks the device for what it needs, once, and not where a budget was given", async () => {
    const { find, probes } = device();
    await admitModel(model, "q4", {}, find);
    expect(probes).toEqual([RESIDENT + WORKING]);
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
    expect(await admitModel(model, "q4", {}, device({ maxStageBytes: 3 * GIB }).find)).toEqual({});
  });

  test("asks no device for what every one has", async () => {
    const stageGraphs = () => ({ core: [graph({ a: 10 })] });
    const small = { ...model, family: { ...model.family, stageGraphs } } as unknown as KnownModel;
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
    ["JanusFlow-1.3B", "q4", 2 ** 27, undefined],
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
});

async function published(name: string): Promise<KnownModel> {
  const files = PUBLISHED[name]?.files ?? {};
  const family = await detectFamily(files["config.json"]);
  return { source: name, family, config: family.parse(files, new EveryName()) };
}
