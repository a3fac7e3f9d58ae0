import { describe, expect, test } from "vitest";
import {
  causalFlowBias,
  flowPositions,
  paddedIds,
  promptBias,
} from "../../../../src/flow/conditions.ts";
import { embedding } from "../../../../src/graph/blocks/linear.ts";
import {
  llamaBody,
  lmHead,
  ropeTables,
  type LlamaConfig,
} from "../../../../src/graph/blocks/llama.ts";
import { GraphBuilder } from "../../../../src/graph/builder.ts";
import "../../../support/allclose.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { openGolden } from "../../../support/golden-checkpoint.ts";
import { waves } from "../../../support/numbers.ts";
import { runGraph, type RunOptions } from "../../../support/run-graph.ts";

type Numbers = ArrayLike<number>;
type Inputs = Record<string, Numbers>;

function rope(config: LlamaConfig, positions: number): Inputs {
  const { cos, sin } = ropeTables(config, positions);
  return { "rope.cos": cos, "rope.sin": sin };
}

/** Runs slots behind `past` cached ones; returns hidden states, logits of the last slot, and the next cache. */
async function continueCache(
  config: LlamaConfig,
  embeddings: Numbers,
  { past = 0, cache, ...options }: RunOptions & { past?: number; cache?: Inputs } = {},
) {
  const capacity = 256;
  const { float = "f32", quantization = "f32" } = options;
  const g = new GraphBuilder({ name: "cached", float, quantization });
  const x = g.input("embeddings", float, [1, "S", config.hiddenSize]);
  const hidden = llamaBody(g, x, config, { kind: "cached", capacity });
  g.output("logits", lmHead(g, hidden, config));
  g.output("hidden", hidden);
  const graph = g.build();
  const size = config.kvHeads * capacity * config.headDim;
  const caches = graph.inputs.filter(({ name }) => name.startsWith("past."));
  const empty = Object.fromEntries(caches.map(({ name }) => [name, new Float32Array(size)]));
  const total = past + embeddings.length / config.hiddenSize;
  const lengths = { seqlens_k: [total - 1], total_sequence_length: [total] };
  const inputs = { embeddings, ...(cache ?? empty), ...lengths, ...rope(config, capacity) };
  const outputs = await runGraph(graph, { ...options, inputs });
  const next = caches.map(({ name }) => [
    name,
    outputs[name.replace("past", "present")]?.values ?? [],
  ]);
  return {
    hidden: outputs["hidden"]?.values ?? new Float32Array(),
    logits: outputs["logits"]?.values ?? new Float32Array(),
    cache: Object.fromEntries(next) as Inputs,
  };
}

/** Runs rows over a prefix; without one, the keys and values come back as the prefix of the next run. */
async function runPrefix(
  config: LlamaConfig,
  { rows, prefix, length }: { rows: number; prefix: number; length: number },
  inputs: Inputs,
  options: RunOptions = {},
) {
  const g = new GraphBuilder({ name: "prefix", float: "f32", quantization: "f32" });
  const x =
    inputs["ids"] === undefined
      ? g.input("embeddings", "f32", [rows, length, config.hiddenSize])
      : embedding(g, g.input("ids", "i32", [rows, length]), {
          weight: `${config.prefix}model.embed_tokens.weight`,
          rows: config.vocabularySize,
          width: config.hiddenSize,
        });
  g.output("hidden", llamaBody(g, x, config, { kind: "prefix", rows, prefix, length }));
  const outputs = await runGraph(g.build(), {
    ...options,
    inputs: { ...inputs, ...rope(config, 128) },
  });
  const kept: Inputs = {};
  for (const [name, { values }] of Object.entries(outputs)) {
    if (name.startsWith("present.")) kept[name.replace("present.", "prefix.")] = values;
  }
  return { hidden: outputs["hidden"]?.values ?? new Float32Array(), kept };
}

const SMALL: LlamaConfig = {
  prefix: "",
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 4,
  headDim: 16,
  intermediateSize: 96,
  vocabularySize: 40,
  rmsNormEps: 1e-6,
  ropeTheta: 10000,
  maxPositions: 256,
};
const GROUPED: LlamaConfig = { ...SMALL, kvHeads: 2 };

describe.each(["a", "b"] as const)("llamaBody of checkpoint %s", (name) => {
  const { config, weights, golden } = openGolden(name);
  const { language } = config;
  const embeddings = golden("understand.oneImage.inputsEmbeds");
  const expected = golden("understand.oneImage.lastHiddenState");

  test("has the reference's hidden states and logits over a cache", async () => {
    const { hidden, logits } = await continueCache(language, embeddings, { weights });
    expect(relativeError(hidden, expected)).toBeLessThan(1e-4);
    const last = logits.subarray(-language.vocabularySize);
    expect(relativeError(last, golden("understand.oneImage.logits"))).toBeLessThan(1e-4);
  });

  // These weights are random; trained ones lose less.
  test.each([
    ["f16", "f16", 1e-5],
    ["f32", "q8", 1e-3],
    ["f32", "q4", 6e-2],
  ] as const)("in %s with weights in %s", async (float, quantization, distance) => {
    const options = { weights, float, quantization };
    const { hidden } = await continueCache(language, embeddings, options);
    expect(1 - cosine(hidden, expected)).toBeLessThan(distance);
  });

  test("has the reference's hidden states of a flow step over a cached prompt", async () => {
    const ids = Array.from(golden("generate.promptIds")).slice(0, -1); // the tag's slot is the time's
    // The unconditional row sees BOS alone; its image stands where the prompt's does.
    const conditions = [
      { ids, start: ids.length },
      { ids: ids.slice(0, 1), start: ids.length },
    ];
    const [rows, prefix] = [2, ids.length + 5];
    const { kept } = await runPrefix(
      language,
      { rows, prefix: 0, length: prefix },
      {
        ids: paddedIds(conditions, prefix),
        bias: promptBias(conditions, prefix),
        positions: Array.from(flowPositions([0, 0], prefix), Number),
      },
      { weights },
    );
    const tokens = golden("generate.t.0.5.aligned");
    const slots = [...Array.from(golden("generate.tEmb.0.5")), ...Array.from(tokens)];
    const length = slots.length / language.hiddenSize;
    const starts = conditions.map(({ start }) => start);
    const { hidden } = await runPrefix(
      language,
      { rows, prefix, length },
      {
        ...kept,
        embeddings: [...slots, ...slots],
        bias: causalFlowBias(conditions, prefix, length),
        positions: Array.from(flowPositions(starts, length), Number),
      },
      { weights },
    );
    for (const [row, key] of ["hiddenCond", "hiddenUncond"].entries()) {
      const states = hidden.length / 2;
      const own = hidden.subarray(row * states + language.hiddenSize, (row + 1) * states);
      expect(relativeError(own, golden(`generate.t.0.5.${key}`)), key).toBeLessThan(1e-4);
    }
  });
});

describe.each([
  ["as many key heads as heads", SMALL],
  ["grouped heads", GROUPED],
])("llamaBody with %s", (_, config) => {
  const slots = 7;
  const embeddings = waves(slots * config.hiddenSize);
  const part = (from: number, to: number) =>
    embeddings.subarray(from * config.hiddenSize, to * config.hiddenSize);

  test("gives the same in one pass, in turns, and slot by slot", async () => {
    const whole = await continueCache(config, embeddings);
    let cache: Inputs | undefined;
    for (const [from, to] of [
      [0, 3],
      [3, 6],
      [6, 7],
    ] as const) {
      const next = await continueCache(config, part(from, to), {
        past: from,
        ...(cache === undefined ? {} : { cache }),
      });
      const size = config.hiddenSize;
      expect(next.hidden).toBeAllclose(whole.hidden.subarray(from * size, to * size), {
        atol: 1e-5,
      });
      cache = next.cache;
    }
  });

  test("gives the same over a fixed prefix with a causal bias", async () => {
    const whole = await continueCache(config, embeddings);
    const prefix = 4;
    const length = slots - prefix;
    const condition = [{ ids: Array.from({ length: prefix }, () => 1), start: prefix }];
    const { kept } = await runPrefix(
      config,
      { rows: 1, prefix: 0, length: prefix },
      {
        embeddings: part(0, prefix),
        bias: promptBias(condition, prefix),
        positions: Array.from({ length: prefix }, (_slot, at) => at),
      },
    );
    const { hidden } = await runPrefix(
      config,
      { rows: 1, prefix, length },
      {
        ...kept,
        embeddings: part(prefix, slots),
        bias: causalFlowBias(condition, prefix, length),
        positions: Array.from({ length }, (_slot, at) => prefix + at),
      },
    );
    const expected = whole.hidden.subarray(prefix * config.hiddenSize);
    expect(hidden).toBeAllclose(expected, { atol: 1e-5 });
  });
});

describe("llamaBody", () => {
  test("declares ports of fixed sizes, so that a flow step can be captured", () => {
    const g = new GraphBuilder({ name: "prefix", float: "f16", quantization: "q4" });
    const x = g.input("embeddings", "f16", [2, 5, 64]);
    g.output("hidden", llamaBody(g, x, SMALL, { kind: "prefix", rows: 2, prefix: 3, length: 5 }));
    const ports = g
      .build()
      .inputs.map(({ name, dtype, shape }) => `${name} ${dtype} ${shape.join()}`);
    expect(ports).toEqual([
      "embeddings f16 2,5,64",
      "positions i64 2,5",
      "bias f32 2,1,5,8",
      "rope.cos f16 slots,8",
      "rope.sin f16 slots,8",
      "prefix.0.key f16 2,3,64",
      "prefix.0.value f16 2,3,64",
      "prefix.1.key f16 2,3,64",
      "prefix.1.value f16 2,3,64",
    ]);
  });

  test("stays a few KB: weights are inputs", () => {
    const g = new GraphBuilder({ name: "cached", float: "f32", quantization: "q4" });
    const large = { ...SMALL, hiddenSize: 2048, layers: 24, heads: 16, kvHeads: 16, headDim: 128 };
    const x = g.input("embeddings", "f32", [1, "S", 2048]);
    g.output("hidden", llamaBody(g, x, large, { kind: "cached", capacity: 4096 }));
    expect(g.build().bytes.length).toBeLessThan(120_000);
  });
});

describe("ropeTables", () => {
  test("begin with no turn and turn the first pair by one radian per position", () => {
    const { cos, sin } = ropeTables({ headDim: 8, ropeTheta: 10000 }, 3);
    expect(cos.subarray(0, 4)).toEqual(Float32Array.of(1, 1, 1, 1));
    expect(sin.subarray(0, 4)).toEqual(new Float32Array(4));
    expect(cos[4]).toBeCloseTo(Math.cos(1));
    expect(sin[8]).toBeCloseTo(Math.sin(2));
    expect(sin[11]).toBeCloseTo(Math.sin(2 / 10000 ** (6 / 8)));
  });
});
