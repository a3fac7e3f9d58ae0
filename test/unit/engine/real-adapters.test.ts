// Every published model in every quantization on every kind of real device: yes, yes with stages that take turns, or
// no and which limit, and nothing is fetched to say so. The rule is read a second time here, from the plan's numbers.
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { FloatType, Quantization } from "../../../src/base/dtype.ts";
import { ModelError } from "../../../src/base/errors.ts";
import { EveryName } from "../../../src/cli/read-config.ts";
import { admitModel } from "../../../src/engine/admit-model.ts";
import type { KnownModel } from "../../../src/engine/known-model.ts";
import { planQuantized, type QuantizedPlan } from "../../../src/engine/model-plan.ts";
import type { Graph } from "../../../src/graph/graph.ts";
import type { Family, GraphOptions, StageWork } from "../../../src/models/family.ts";
import { detectFamily } from "../../../src/models/registry.ts";
import { PUBLISHED } from "../../support/published-configs.ts";
import { gpuOf, REAL_ADAPTERS, type RealAdapter } from "../../support/real-adapters.ts";

const MIB = 2 ** 20;
const QUANTIZATIONS: readonly Quantization[] = ["q4", "q8", "f16"];

let models: KnownModel[] = [];
const fetched = vi.fn<typeof fetch>();

beforeAll(async () => {
  models = await Promise.all(Object.keys(PUBLISHED).map(published));
});
beforeEach(() => {
  vi.stubGlobal("GPUBufferUsage", { STORAGE: 128 });
  vi.stubGlobal("fetch", fetched.mockReset());
});
afterEach(() => vi.unstubAllGlobals());

test("there are thirty devices and more, of every vendor", () => {
  expect(REAL_ADAPTERS.length).toBeGreaterThanOrEqual(30);
  expect(new Set(REAL_ADAPTERS.map(({ name }) => name)).size).toBe(REAL_ADAPTERS.length);
  const vendors = new Set(REAL_ADAPTERS.map(({ info }) => info.vendor));
  expect(vendors).toEqual(
    new Set(["nvidia", "amd", "intel", "apple", "qualcomm", "arm", "img-tec", "google"]),
  );
});

describe("which models a device is admitted to", () => {
  test.each(REAL_ADAPTERS)("$name", async (adapter) => {
    vi.stubGlobal("navigator", { gpu: gpuOf(adapter) });
    const float = adapter.features.includes("shader-f16") ? "f16" : "f32";
    for (const model of models) {
      for (const quantization of QUANTIZATIONS) {
        const plan = planQuantized(model, { quantization, float });
        const what = `${model.source} in ${quantization}`;
        expect([what, await answer(model, quantization)]).toEqual([what, ruling(plan, adapter)]);
      }
    }
    expect(fetched).not.toHaveBeenCalled();
  });

  // What a person would say, without the rule.
  test.each([
    ["GeForce RTX 4090, Windows", "Anole-7b", "q4", "yes"],
    ["GeForce RTX 4070, Windows", "Janus-Pro-7B", "q4", "yes"],
    ["GeForce RTX 4070, Windows", "Nexus-GenV2", "q4", "turns"],
    ["GeForce RTX 4070, Windows", "OmniGen-v1", "q4", "yes"],
    ["GeForce RTX 2060, Windows", "Anole-7b", "q4", "memory"],
    ["GeForce GT 1030, Linux", "Janus-1.3B", "q4", "memory"],
    ["UHD 620, Windows, shared", "Janus-1.3B", "q4", "yes"],
    ["iPhone of iOS 18.7, Safari 26.5", "Janus-1.3B", "q4", "memory"],
    ["Adreno 650 (Galaxy S20)", "JanusFlow-1.3B", "q4", "maxStorageBufferBindingSize"],
    ["iPhone 13", "OmniGen-v1", "q4", "maxBufferSize"],
    ["SwiftShader", "Janus-1.3B", "q4", "yes"],
  ] as const)("%s, %s in %s: %s", async (name, source, quantization, expected) => {
    const adapter = REAL_ADAPTERS.find((one) => one.name === name);
    const model = models.find((one) => one.source === source);
    if (!adapter || !model) throw new Error(`there is no ${name} or no ${source}`);
    vi.stubGlobal("navigator", { gpu: gpuOf(adapter) });
    expect((await answer(model, quantization)).kind).toBe(expected);
  });
});

type Limit = "maxBufferSize" | "maxStorageBufferBindingSize" | "memory";

interface Answer {
  readonly kind: "yes" | "turns" | Limit;
  readonly neededBytes?: number | undefined;
  readonly budget?: number | undefined;
}

/** What admission says, by its own way to the device. */
async function answer(model: KnownModel, quantization: Quantization): Promise<Answer> {
  try {
    const { memoryBudgetBytes: budget } = await admitModel(model, quantization, {});
    return budget === undefined ? { kind: "yes" } : { kind: "turns", budget };
  } catch (error) {
    if (!ModelError.isModelError(error) || error.code !== "out-of-memory") throw error;
    const { limit, neededBytes, availableBytes } = error.details;
    expect(Number(neededBytes)).toBeGreaterThan(Number(availableBytes));
    const isMemory = String(limit).endsWith("'s memory");
    return { kind: isMemory ? "memory" : (limit as Limit), neededBytes: Number(neededBytes) };
  }
}

/** What the rule says of a plan and a device. */
function ruling(plan: QuantizedPlan, { limits, memoryBytes }: RealAdapter): Answer {
  const { maxBufferSize: buffer, maxStorageBufferBindingSize: binding } = limits;
  const kind = binding < buffer ? "maxStorageBufferBindingSize" : "maxBufferSize";
  for (const { bytes } of [plan.largestBuffer, plan.largestResult]) {
    if (bytes > Math.min(buffer, binding)) return { kind, neededBytes: bytes };
  }
  const { residentBytes, workingBytes, stages } = plan;
  const overhead = 256 * MIB;
  const all = residentBytes + workingBytes + overhead;
  const piece = Math.min(256 * MIB, buffer);
  if (all <= 768 * MIB || Math.ceil(all / piece) * piece <= memoryBytes) return { kind: "yes" };
  const given = Math.min(all, Math.floor(memoryBytes / piece) * piece);
  if (given >= all) return { kind: "yes" };
  const alone = Math.max(
    ...stages.map(({ bytes, heldBytes, passingBytes }) => bytes + heldBytes + passingBytes),
  );
  if (alone > given - overhead) return { kind: "memory", neededBytes: alone };
  const largest = Math.max(...stages.map(({ bytes }) => bytes));
  return { kind: "turns", budget: Math.max(largest, given - overhead - workingBytes) };
}

async function published(name: string): Promise<KnownModel> {
  const files = PUBLISHED[name]?.files ?? {};
  const family = await detectFamily(files["config.json"]);
  return {
    source: name,
    family: once(family),
    config: family.parse(files, new EveryName()),
  };
}

// Building a large model's graphs takes a second, and every device asks for the same ones.
function once(family: Family): Family {
  const slim = ({ name, inputs, weightParts, results }: Graph): Graph => {
    const none = { bytes: new Uint8Array(), outputs: [], weights: [] };
    return { name, inputs, weightParts, ...none, ...(results && { results }) };
  };
  const each = <T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U) =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
  const slimWork = ({ loops, passes }: StageWork): StageWork => ({
    loops: loops.map(slim),
    passes: passes.map(slim),
  });
  return {
    ...family,
    declareWeights: remembered((config, quantization: Quantization) =>
      family.declareWeights(config, quantization),
    ),
    stageGraphs: remembered((config, options: GraphOptions) =>
      each(family.stageGraphs(config, options), (graphs) => graphs.map(slim)),
    ),
    stageWork: remembered((config, options: GraphOptions) =>
      each(family.stageWork(config, options), slimWork),
    ),
  };
}

function remembered<Options extends { float: FloatType } | string, T>(
  make: (config: unknown, options: Options) => T,
): (config: unknown, options: Options) => T {
  const known = new Map<string, T>();
  return (config, options) => {
    const key = JSON.stringify(options);
    const made = known.get(key) ?? make(config, options);
    known.set(key, made);
    return made;
  };
}
