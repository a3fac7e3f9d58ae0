import { describe, expect, test } from "vitest";

import type { Plan } from "../../../src/engine/model-plan.ts";
import { obstacle, planModel } from "../../../src/engine/model-plan.ts";
import { EveryName } from "../../../src/cli/read-config.ts";
import { formatBytes, printPlan } from "../../../src/cli/print-plan.ts";
import { detectFamily } from "../../../src/models/registry.ts";
import { PUBLISHED } from "../../support/published-configs.ts";
import type { PublishedCheckpoint } from "../../support/published-configs.ts";

const names = Object.keys(PUBLISHED);

describe("planModel", () => {
  test.each(names)("counts the published numbers of %s", async (name) => {
    const { tensors, parameters, unused, made, companions } = published(name);
    const { totals } = await plan(name);
    const own = totals.find(({ companion }) => companion === "");
    const [idle, ours] = [count(unused), count(made ?? {})];
    expect({
      tensors: (own?.tensors ?? 0) + idle.tensors - ours.tensors,
      parameters: (own?.parameters ?? 0) + idle.parameters - ours.parameters,
    }).toEqual({ tensors, parameters });
    for (const [companion, expected] of Object.entries(companions ?? {})) {
      expect(totals.find((total) => total.companion === companion)?.parameters).toBe(expected);
    }
  });

  test.each(names)("orders the quantizations of %s by size", async (name) => {
    const { quantized } = await plan(name);
    expect(quantized.map(({ quantization }) => quantization)).toEqual(["q4", "q8", "f16"]);
    const sizes = quantized.map(({ storedBytes }) => storedBytes);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
    for (const { stages, residentBytes, largestStageBytes, largestBuffer, ...rest } of quantized) {
      expect(rest.shards).toBe(Math.ceil(rest.storedBytes / 2 ** 24));
      expect(largestStageBytes).toBe(Math.max(...stages.map(({ bytes }) => bytes)));
      expect(residentBytes).toBeGreaterThanOrEqual(largestStageBytes);
      expect(residentBytes).toBeLessThanOrEqual(stages.reduce((sum, { bytes }) => sum + bytes, 0));
      expect(largestBuffer.bytes).toBeLessThanOrEqual(largestStageBytes);
    }
  });
});

describe("obstacle", () => {
  test("names the buffer first, then the memory, then nothing", async () => {
    const [q4] = (await plan("JanusFlow-1.3B")).quantized;
    if (!q4) throw new Error("nothing was planned");
    const { largestBuffer, largestStageBytes } = q4;
    expect(obstacle(q4, {})).toBeUndefined();
    expect(
      obstacle(q4, { maxBufferBytes: largestBuffer.bytes, memoryBytes: largestStageBytes }),
    ).toBeUndefined();
    expect(obstacle(q4, { maxBufferBytes: largestBuffer.bytes - 1, memoryBytes: 0 })).toEqual({
      kind: "buffer",
      neededBytes: largestBuffer.bytes,
    });
    expect(obstacle(q4, { memoryBytes: largestStageBytes - 1 })).toEqual({
      kind: "memory",
      neededBytes: largestStageBytes,
    });
  });
});

describe("printPlan", () => {
  test("tells sizes, stages and what the device can do", async () => {
    const text = printPlan(await plan("JanusFlow-1.3B"), {
      maxBufferBytes: 2 ** 28,
      memoryBytes: 1.3e9,
    });
    expect(text).toContain("janus-flow");
    expect(text).toMatch(/its own files: 574 tensors, [\d,]+ parameters, 4\.\d+ GB in 16 bit/);
    expect(text).toMatch(/q4 +[\d.]+ GB +\d+ /);
    expect(text).toMatch(/A device with buffers up to 268 MB and 1\.30 GB for weights:/);
    expect(text).toMatch(/q4 {3}runs/);
    expect(text).toMatch(/f16 {2}does not run: .+ needs a buffer of 419 MB/);
  });
});

describe("formatBytes", () => {
  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1234, "1.23 kB"],
    [12_345_678, "12.3 MB"],
    [4_092_735_008, "4.09 GB"],
  ])("writes %i as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

function count(shapes: PublishedCheckpoint["unused"]) {
  const sizes = Object.values(shapes).map((shape) => shape.reduce((a, b) => a * b, 1));
  return { tensors: sizes.length, parameters: sizes.reduce((a, b) => a + b, 0) };
}

function published(name: string): PublishedCheckpoint {
  const checkpoint = PUBLISHED[name];
  if (!checkpoint) throw new Error(`there is no ${name}`);
  return checkpoint;
}

const plans = new Map<string, Promise<Plan>>();

/** Building all graphs of a large model takes a second: once has to do. */
function plan(name: string): Promise<Plan> {
  const made = plans.get(name) ?? makePlan(name);
  plans.set(name, made);
  return made;
}

async function makePlan(name: string): Promise<Plan> {
  const { files, family: expected } = published(name);
  const family = await detectFamily(files["config.json"]);
  expect(family.id).toBe(expected);
  return planModel({ source: name, family, config: family.parse(files, new EveryName()) });
}
