// The laws of a cached core, the same for every backend: a core of several rows answers as its rows would alone.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { f32ToF16 } from "../../src/base/float16.ts";
import { embedding } from "../../src/graph/blocks/linear.ts";
import { llamaBody, lmHead, ropeTables, type LlamaConfig } from "../../src/graph/blocks/llama.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph } from "../../src/graph/graph.ts";
import { expand, reshape, slice } from "../../src/graph/ops/movement.ts";
import type { Runtime, Tensor } from "../../src/session/runtime.ts";
import { CachedCore } from "../../src/tokens/cached-core.ts";
import { relativeError } from "../support/closeness.ts";
import { waves } from "../support/numbers.ts";
import { inventedWeights, storeWeight } from "../support/store-weight.ts";

const CONFIG: LlamaConfig = {
  prefix: "",
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediateSize: 48,
  vocabularySize: 24,
  rmsNormEps: 1e-6,
  ropeTheta: 10000,
  maxPositions: 64,
};
const CAPACITY = 32;
const TOKENS = [3, 17, 5];

/** Runs the suite on one runtime that all its tests share. */
export function runCachedCoreContract(create: () => Promise<Runtime>): void {
  describe("a cached core", () => {
    let runtime: Runtime;
    let weights: Map<string, Tensor>;
    beforeAll(async () => {
      runtime = await create();
      weights = storedWeights(runtime, [prefillGraph(), decodeGraph(1)]);
    }, 60_000);
    afterAll(() => weights?.forEach((tensor) => tensor.dispose()));

    const open = (rowWeights: readonly number[]): Promise<CachedCore> => {
      const { cos, sin } = ropeTables(CONFIG, CAPACITY);
      const table = (values: Float32Array<ArrayBuffer>): Tensor =>
        runtime.createTensor("f32", [CAPACITY, CONFIG.headDim / 2], values);
      return CachedCore.create(runtime, weights, {
        ...CONFIG,
        prefill: prefillGraph(),
        decode: decodeGraph(rowWeights.length),
        capacity: CAPACITY,
        constants: { "rope.cos": table(cos), "rope.sin": table(sin) },
        weights: rowWeights,
      });
    };
    const fill = async (core: CachedCore, slots: number, seed: number, at = {}): Promise<void> => {
      const values = new Float32Array(waves(slots * CONFIG.hiddenSize, seed));
      const prompt = runtime.createTensor("f32", [1, slots, CONFIG.hiddenSize], values);
      await core.prefill(prompt, at);
      prompt.dispose();
    };
    /** Logits behind the prompt and behind each of TOKENS. */
    const feed = async (core: CachedCore): Promise<Float32Array[]> => {
      const read = async () => Float32Array.from(await runtime.read(core.logits));
      const all = [await read()];
      for (const token of TOKENS) {
        // What the pick kernel does behind the logits.
        runtime.write(core.token, Int32Array.of(token));
        await advance(runtime, core);
        await core.decode();
        all.push(await read());
      }
      return all;
    };
    const alone = async (slots: number, seed: number): Promise<Float32Array[]> => {
      const core = await open([1]);
      await fill(core, slots, seed);
      const logits = await feed(core);
      await core.dispose();
      return logits;
    };

    test("of rows of different lengths mixes what each row answers alone", async () => {
      const rows = [await alone(7, 1), await alone(4, 2), await alone(1, 3)];
      const guidance = [3, -1.5, -0.5];
      const core = await open(guidance);
      await fill(core, 7, 1, { row: 0 });
      await fill(core, 4, 2, { row: 1 });
      await fill(core, 1, 3, { row: 2 });
      for (const [step, logits] of (await feed(core)).entries()) {
        const expected = logits.map((_, id) =>
          rows.reduce((sum, row, r) => sum + (guidance[r] ?? 0) * (row[step]?.[id] ?? 0), 0),
        );
        expect(relativeError(logits, expected), `step ${step}`).toBeLessThan(1e-4);
      }
      await core.dispose();
    }, 60_000);

    test("can be filled again, with rows of other lengths", async () => {
      const expected = [await alone(2, 5), await alone(6, 6)];
      const core = await open([1, 0]);
      await fill(core, 9, 8, { row: 0 });
      await fill(core, 9, 9, { row: 1 });
      await feed(core);
      for (const row of [0, 1]) {
        await fill(core, 2, 5, { row: 0 });
        await fill(core, 6, 6, { row: 1 });
        core.setWeights(row === 0 ? [1, 0] : [0, 1]);
        const [, ...logits] = await feed(core);
        for (const [step, values] of logits.entries()) {
          expect(relativeError(values, expected[row]?.[step + 1] ?? [])).toBeLessThan(1e-4);
        }
      }
      await core.dispose();
    }, 60_000);

    test.each([[[1]], [[2, -1]]])(
      "goes on behind what a row keeps (%s)",
      async (guidance) => {
        const core = await open(guidance);
        const whole = new Float32Array(waves(8 * CONFIG.hiddenSize, 4));
        const part = (start: number, end: number): Tensor =>
          runtime.createTensor(
            "f32",
            [1, end - start, CONFIG.hiddenSize],
            whole.slice(start * CONFIG.hiddenSize, end * CONFIG.hiddenSize),
          );
        for (const row of guidance.keys()) await core.prefill(part(0, 8), { row });
        const expected = await runtime.read(core.logits);
        for (const row of guidance.keys()) {
          await core.prefill(part(0, 5), { row });
          await core.prefill(part(5, 8), { row, from: 5 });
          expect(core.length(row)).toBe(8);
        }
        expect(relativeError(await runtime.read(core.logits), expected)).toBeLessThan(1e-4);
        await core.dispose();
      },
      60_000,
    );
  });
}

/** Moves every length on by one, as a pick does. */
async function advance(runtime: Runtime, core: CachedCore): Promise<void> {
  for (const tensor of core.advance) {
    const values = Int32Array.from(await runtime.read(tensor));
    runtime.write(
      tensor,
      values.map((value) => value + 1),
    );
  }
}

function prefillGraph(): Graph {
  const g = new GraphBuilder({ name: "prefill", float: "f32", quantization: "f32" });
  const x = g.input("embeddings", "f32", [1, "S", CONFIG.hiddenSize]);
  const hidden = llamaBody(g, x, CONFIG, { kind: "cached", capacity: CAPACITY });
  g.output("logits", lmHead(g, slice(g, hidden, { axis: 1, start: -1 }), CONFIG));
  return g.build();
}

function decodeGraph(rows: number): Graph {
  const g = new GraphBuilder({ name: "decode", float: "f32", quantization: "f32" });
  const token = g.input("token", "i32", [1, 1]);
  const { hiddenSize: width, vocabularySize } = CONFIG;
  const one = embedding(g, token, { weight: "embed.weight", rows: vocabularySize, width });
  const x = rows === 1 ? one : expand(g, reshape(g, one, [1, 1, width]), [rows, 1, width]);
  const hidden = llamaBody(g, x, CONFIG, { kind: "cached", capacity: CAPACITY, rows });
  g.output("logits", lmHead(g, hidden, CONFIG));
  return g.build();
}

function storedWeights(runtime: Runtime, graphs: readonly Graph[]): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const graph of graphs) {
    const stored = graph.weights.flatMap((weight) => storeWeight(weight, "f32", inventedWeights));
    for (const { name, dtype, shape } of graph.weightParts) {
      const part = stored.find((each) => each.name === name);
      if (part === undefined || !(part.data instanceof Float32Array) || tensors.has(name)) continue;
      const data = dtype === "f16" ? f32ToF16(part.data) : part.data;
      tensors.set(name, runtime.createTensor(dtype, shape, data));
    }
  }
  return tensors;
}
