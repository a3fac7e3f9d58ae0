// What is no number stays none: every operator that could hide it, with one broken number among its inputs. WGSL
// leaves max, min and comparisons of NaN open, so that each backend has to be asked.
import { beforeAll, describe, expect, test } from "vitest";
import { present } from "../../src/base/assert.ts";
import { elementCount } from "../../src/base/shape.ts";
import { nearestCodes, readCodes } from "../../src/graph/blocks/codebook.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import { groupQueryAttention, multiHeadAttention } from "../../src/graph/ops/attention.ts";
import { gelu, geluTanh, relu, sigmoid, silu, softmax } from "../../src/graph/ops/elementwise.ts";
import { matmul } from "../../src/graph/ops/linear.ts";
import {
  instanceNormalization,
  layerNormalization,
  simplifiedLayerNorm,
} from "../../src/graph/ops/reduction.ts";
import { tanh } from "../../src/graph/ops/transcendental.ts";
import type { Runtime, Tensor } from "../../src/session/runtime.ts";
import { waves } from "../support/numbers.ts";

const WIDTH = 64;
const [HEADS, KV_HEADS, SIZE, CAPACITY] = [4, 2, 16, 64];
const CODEBOOK = { weight: "table", codes: 24, width: 4, isNormalized: false };
const ones = (g: GraphBuilder, count = WIDTH): Value =>
  g.constant("f32", [count], new Float32Array(count).fill(1));

const OF_ONE: Readonly<Record<string, (g: GraphBuilder, x: Value) => Value>> = {
  relu,
  sigmoid,
  silu,
  gelu,
  "gelu by tanh": geluTanh,
  tanh,
  softmax,
  "layer norm": (g, x) => layerNormalization(g, x, ones(g), undefined, 1e-6),
  "rms norm": (g, x) => simplifiedLayerNorm(g, x, ones(g), 1e-6),
  "instance norm": (g, x) => instanceNormalization(g, x, ones(g, 5), ones(g, 5), 1e-6),
  matmul: (g, x) => matmul(g, x, g.constant("f32", [WIDTH, 8], waves(WIDTH * 8))),
};

/** Runs the suite on one runtime that all its tests share. */
export function runBrokenOperators(create: () => Promise<Runtime>): void {
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await create();
  }, 60_000);

  /** The output of a graph whose inputs and weights are waves, with NaN in the middle of `broken`. */
  async function run(
    g: GraphBuilder,
    output: Value,
    { broken, lengths = {} }: { broken: string; lengths?: Readonly<Record<string, Int32Array>> },
  ): Promise<Float32Array> {
    g.output("out", output);
    const graph = g.build();
    const filled = ({ name, dtype, shape }: Value): readonly [string, Tensor] => {
      const sizes = shape.map(Number);
      const numbers = lengths[name] ?? waves(elementCount(sizes));
      if (name === broken) numbers[numbers.length >> 1] = Number.NaN;
      return [name, runtime.createTensor(dtype, sizes, numbers)];
    };
    const weights = new Map(graph.weightParts.map(filled));
    const feeds = Object.fromEntries(graph.inputs.map(filled));
    const session = await runtime.createSession(graph, weights);
    const outputs = await session.run(feeds);
    const values = await runtime.read(present(outputs["out"], "out"));
    await session.dispose();
    for (const tensors of [Object.values(feeds), Object.values(outputs), weights.values()]) {
      for (const tensor of tensors) tensor.dispose();
    }
    return values as Float32Array;
  }

  const builder = (): GraphBuilder =>
    new GraphBuilder({ name: "broken", float: "f32", quantization: "f32" });

  describe("NaN among the inputs is NaN in the output", () => {
    test.each(Object.entries(OF_ONE))("of %s", async (_, operator) => {
      for (const broken of ["none", "x"]) {
        const g = builder();
        const x = g.input("x", "f32", [1, 5, WIDTH]);
        const values = await run(g, operator(g, x), { broken });
        expect(values.some(Number.isNaN)).toBe(broken === "x");
      }
    });

    test.each(["q", "k", "v"])("of attention without a cache, in %s", async (broken) => {
      const g = builder();
      const input = (name: string): Value => g.input(name, "f32", [1, 40, HEADS * SIZE]);
      const inputs = { q: input("q"), k: input("k"), v: input("v") };
      const values = await run(g, multiHeadAttention(g, inputs, HEADS), { broken });
      expect(values.some(Number.isNaN)).toBe(true);
    });

    for (const slots of [1, 2, 40]) {
      test.each(["q", "k", "v", "none"])(
        `of attention over a cache, ${slots} slots, in %s`,
        async (broken) => {
          const g = builder();
          const input = (name: string, heads: number): Value =>
            g.input(name, "f32", [1, slots, heads * SIZE]);
          const cache = [1, KV_HEADS, CAPACITY, SIZE];
          const table = [CAPACITY, SIZE / 2];
          const { output } = groupQueryAttention(
            g,
            {
              q: input("q", HEADS),
              k: input("k", KV_HEADS),
              v: input("v", KV_HEADS),
              pastKey: g.input("pastKey", "f32", cache),
              pastValue: g.input("pastValue", "f32", cache),
              lastIndex: g.input("lastIndex", "i32", [1]),
              total: g.input("total", "i32", [1]),
              cos: g.input("cos", "f32", table),
              sin: g.input("sin", "f32", table),
            },
            { heads: HEADS, kvHeads: KV_HEADS },
          );
          const lengths = { lastIndex: Int32Array.of(slots - 1), total: Int32Array.of(slots) };
          const values = await run(g, output, { broken, lengths });
          expect(values.some(Number.isNaN)).toBe(broken !== "none");
        },
      );
    }

    test("of the nearest codes, which are no codes then", async () => {
      const chosen = async (broken: string): Promise<Float32Array> => {
        const g = builder();
        const features = g.input("features", "f32", [1, 4, 3, 5]);
        return run(g, nearestCodes(g, features, CODEBOOK), { broken });
      };
      expect(readCodes(await chosen("none"))).toHaveLength(15);
      for (const broken of ["features", "table"]) {
        const numbers = await chosen(broken);
        expect(() => readCodes(numbers)).toThrow(/chosen by what is no number/);
      }
    });
  });
}
