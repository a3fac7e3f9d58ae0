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

// Bytes beside the weights, worked out by hand from the published sizes. A slot of a cache has a key and a value of
// every layer: layers x 2 x heads x head size x 2 bytes. The usual prompt has 64 tokens, the usual answer 512, and
// caches grow by 256 slots: an answer takes 768. The few bytes behind each plus are the other inputs of the loops:
// ids, lengths, a row of the rope tables, and where a row is prefilled alone one slot of embeddings.
const BY_HAND = [
  // 32 layers of 32 heads of 128: 524,288 bytes a slot. 768 slots of writing; behind 64 + 1,024 ids two contexts and
  // the one that prefills, 1,280 slots each. The decoder's four results at a time: f32 [128, 512, 512] each; the
  // encoder pads one to [128, 513, 513].
  {
    name: "Anole-7b",
    stage: "core",
    held: (768 + 3 * 1280) * 524_288 + 8996,
    passing: 4 * 128 * 512 ** 2 * 4,
    largest: 128 * 513 ** 2 * 4,
  },
  // 30 layers of 32 heads of 128: 491,520 bytes a slot. 64 + 576 ids; two contexts and the one that prefills.
  // The decoder at 384 x 384, f32: the largest result has 128 channels, and four of them are there at a time.
  {
    name: "Janus-Pro-7B",
    stage: "draw",
    held: 3 * 768 * 491_520 + 8728,
    passing: 4 * 128 * 384 ** 2 * 4,
    largest: 128 * 384 ** 2 * 4,
  },
  // 24 layers of 16 heads of 128: 196,608 bytes a slot, 768 of them. Seeing is small.
  {
    name: "JanusFlow-1.3B",
    stage: "understand",
    held: 768 * 196_608 + 268,
    passing: 10_616_832, // f16 [576, 4096] of the tower's MLP, two at a time, and [576, 1024]
    largest: 256 * 384 ** 2 * 4, // of the VAE at 384 x 384, in f32
  },
  // The VAE's attention over 128 x 128 latents, f32: as large as its results of 256 channels at 1024 x 1024, of which
  // four are there at a time. Two rows of 64 slots: 32 layers x 2 x 3072 x 2 bytes a slot. And what each of 1 + 64 x 64
  // slots sees, f32 [2, 1, 4097, 64 + 4097]: 136,380,936; tables of the grid, 2 x f32 [64, 1536]: 786,432; latents
  // 262,144; positions, i64 [2, 4097]: 65,552; time and rotation 196.
  {
    name: "OmniGen-v1",
    stage: "draw",
    held: 2 * 64 * 393_216 + 137_495_260,
    passing: 4 * 256 * 1024 ** 2 * 4,
    largest: (128 * 128) ** 2 * 4,
  },
  // 28 layers of 4 heads of 128: 57,344 bytes a slot.
  {
    name: "Nexus-GenV2",
    stage: "core",
    held: 768 * 57_344 + 268,
    passing: 1_741_824, // f16 [81, 3584] of imagining, three at a time
    largest: 256 * 512 ** 2 * 4,
  },
];

describe("what comes on top of the weights", () => {
  test.each(BY_HAND)("$name, $stage", async ({ name, stage, held, passing, largest }) => {
    const q4 = (await plan(name)).quantized.find(({ quantization }) => quantization === "q4");
    const size = q4?.stages.find((one) => one.name === stage);
    expect(size).toMatchObject({ heldBytes: held, passingBytes: passing });
    expect(q4?.largestResult.bytes).toBe(largest);
  });

  test.each(names)("%s: all stages hold theirs, one works at a time", async (name) => {
    for (const { stages, workingBytes, largestTurnBytes } of (await plan(name)).quantized) {
      const held = stages.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
      const passing = Math.max(...stages.map(({ passingBytes }) => passingBytes));
      expect(workingBytes).toBe(held + passing);
      const turns = stages.map((stage) => stage.bytes + stage.heldBytes + stage.passingBytes);
      expect(largestTurnBytes).toBe(Math.max(...turns));
    }
  });
});

describe("obstacle", () => {
  test("names the buffer first, then the memory, then nothing", async () => {
    const [q4] = (await plan("JanusFlow-1.3B")).quantized;
    if (!q4) throw new Error("nothing was planned");
    const { largestBuffer, largestStageBytes } = q4;
    expect(obstacle(q4, {})).toBeUndefined();
    expect(obstacle(q4, { maxBufferBytes: 151e6, memoryBytes: largestStageBytes })).toBeUndefined();
    expect(obstacle(q4, { maxBufferBytes: largestBuffer.bytes - 1, memoryBytes: 0 })).toEqual({
      kind: "buffer",
      neededBytes: largestBuffer.bytes,
    });
    const { largestResult } = q4;
    expect(largestResult.bytes).toBeGreaterThan(largestBuffer.bytes);
    expect(obstacle(q4, { maxBufferBytes: largestResult.bytes - 1 })).toEqual({
      kind: "result",
      neededBytes: largestResult.bytes,
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
