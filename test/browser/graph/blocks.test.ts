// Every block on WebGPU beside the CPU provider. Sessions are captured, which onnxruntime refuses when a
// single node would run on the CPU. Attention has more than 32 slots: fewer take other kernels.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { f16ToF32 } from "../../../src/base/float16.ts";
import { embedding, linear } from "../../../src/graph/blocks/linear.ts";
import {
  llamaBody,
  lmHead,
  ropeTables,
  type LlamaConfig,
} from "../../../src/graph/blocks/llama.ts";
import { siglipTower } from "../../../src/graph/blocks/siglip.ts";
import { timeEmbedding } from "../../../src/graph/blocks/time-embedding.ts";
import { uvitDecoder, uvitEncoder } from "../../../src/graph/blocks/uvit.ts";
import { nearestCodes } from "../../../src/graph/blocks/codebook.ts";
import { JANUS_NAMES } from "../../../src/graph/blocks/vae-names.ts";
import {
  vaeDecoder,
  vaeEncoder,
  vqEncoder,
  type VaeConfig,
} from "../../../src/graph/blocks/vae.ts";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import type { Graph, Value } from "../../../src/graph/graph.ts";
import type { Runtime, Tensor } from "../../../src/session/runtime.ts";
import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { relativeError } from "../../support/closeness.ts";
import { waves } from "../../support/numbers.ts";
import { inventedWeights, storeWeight } from "../../support/store-weight.ts";

const [SLOTS, PAST, CAPACITY] = [40, 3, 64];
const HIDDEN = 96;

const LLAMA: LlamaConfig = {
  prefix: "",
  hiddenSize: HIDDEN,
  layers: 2,
  heads: 6,
  kvHeads: 3,
  headDim: 16,
  intermediateSize: 120, // no whole blocks of 32
  vocabularySize: 50,
  rmsNormEps: 1e-6,
  ropeTheta: 10000,
  maxPositions: CAPACITY,
};
const UVIT = {
  latentChannels: 4,
  patchSize: 2,
  channels: 32,
  blocks: 1,
  normEps: 1e-6,
  hidden: 64,
};
const VAE: VaeConfig = {
  blockOutChannels: [8, 16],
  layersPerBlock: 1,
  normNumGroups: 4,
  latentChannels: 4,
  useQuantConv: true,
  usePostQuantConv: true,
  midAttention: true,
};
const VQ: VaeConfig = { ...VAE, innerChannels: 6, attentionLevels: [1], names: JANUS_NAMES };
const CODEBOOK = { weight: "codebook", codes: 50, width: 4, isNormalized: true };

const BLOCKS: Readonly<Record<string, (g: GraphBuilder) => Value>> = {
  embedding: (g) =>
    embedding(g, g.input("ids", "i32", [1, 5]), { weight: "table", rows: 50, width: 96 }),
  "linear of one row": (g) => linear(g, g.input("x", "f32", [1, 1, 40]), { weight: "w", out: 24 }),
  siglip: (g) =>
    siglipTower(g, g.input("pixels", "f32", [1, 3, 48, 48]), {
      prefix: "",
      imageSize: 48,
      patchSize: 8,
      width: 64,
      layers: 1,
      heads: 4,
      mlpRatio: 4,
    }),
  "llama over a cache": (g) => {
    const x = g.input("x", "f32", [1, SLOTS, HIDDEN]);
    return lmHead(g, llamaBody(g, x, LLAMA, { kind: "cached", capacity: CAPACITY }), LLAMA);
  },
  "llama without a prefix": (g) => {
    const x = g.input("x", "f32", [2, SLOTS, HIDDEN]);
    return llamaBody(g, x, LLAMA, { kind: "prefix", rows: 2, prefix: 0, length: SLOTS });
  },
  "llama over a prefix": (g) => {
    const x = g.input("x", "f32", [2, SLOTS, HIDDEN]);
    return llamaBody(g, x, LLAMA, { kind: "prefix", rows: 2, prefix: PAST, length: SLOTS });
  },
  "time embedding": (g) =>
    timeEmbedding(g, g.input("time", "f32", [1]), { prefix: "", width: 32, hidden: 64 }),
  uvit: (g) => {
    const time = g.input("embedded", "f32", [1, 64]);
    const encoded = uvitEncoder(g, g.input("z", "f32", [1, 4, 8, 8]), time, {
      prefix: "e.",
      ...UVIT,
    });
    const features = g.input("features", "f32", [2, 32, 4, 4]);
    return uvitDecoder(g, features, encoded, time, { prefix: "d.", ...UVIT, skipChannels: 32 });
  },
  "vae decoder": (g) => vaeDecoder(g, g.input("z", "f32", [1, 4, 8, 8]), VAE),
  "vq encoder": (g) => vqEncoder(g, g.input("image", "f32", [1, 3, 16, 16]), VQ),
  "nearest codes": (g) => nearestCodes(g, g.input("features", "f32", [1, 4, 6, 6]), CODEBOOK),
  "vae encoder": (g) => vaeEncoder(g, g.input("image", "f32", [1, 3, 16, 16]), VAE).mean,
};

/** Numbers of an input: those that mean something by name, the others are waves. */
function numbersOf({ name, dtype }: Value, count: number): ArrayBufferView {
  const tables = ropeTables(LLAMA, CAPACITY);
  const meant: Record<string, ArrayBufferView> = {
    "rope.cos": tables.cos,
    "rope.sin": tables.sin,
    seqlens_k: Int32Array.of(PAST + SLOTS - 1),
    total_sequence_length: Int32Array.of(PAST + SLOTS),
    positions: BigInt64Array.from({ length: count }, (_, at) => BigInt(PAST + (at % SLOTS))),
    time: Float32Array.of(0.93),
  };
  if (dtype === "i32")
    return meant[name] ?? Int32Array.from({ length: count }, (_, at) => (at * 7) % 50);
  return meant[name] ?? waves(count, name.length);
}

/** The graph's "value" on a runtime. Tensors live as long as the runtime. */
async function compute(runtime: Runtime, graph: Graph, quantization: "f32" | "q4") {
  const weights = new Map<string, Tensor>();
  const stored = graph.weights.flatMap((weight) =>
    storeWeight(weight, quantization, inventedWeights),
  );
  for (const { name, dtype, shape } of graph.weightParts) {
    const data = stored.find((part) => part.name === name)?.data ?? new Uint8Array();
    const bytes = data instanceof Uint16Array ? f16ToF32(data) : data;
    weights.set(name, runtime.createTensor(dtype, shape, bytes));
  }
  const sizesOf = ({ shape }: Value) => shape.map((size) => (size === "S" ? SLOTS : Number(size)));
  const feeds: Record<string, Tensor> = {};
  const fetches: Record<string, Tensor> = {};
  for (const input of graph.inputs) {
    const isTable = input.name.startsWith("rope.");
    const sizes = isTable ? [CAPACITY, LLAMA.headDim / 2] : sizesOf(input);
    const isCache = input.name.startsWith("past.");
    const tensor = isCache
      ? await runtime.createStableTensor("f32", sizes)
      : runtime.createTensor(input.dtype, sizes);
    const count = sizes.reduce((a, b) => a * b, 1);
    runtime.write(tensor, numbersOf(input, count));
    feeds[input.name] = tensor;
    if (isCache) fetches[input.name.replace("past", "present")] = tensor;
  }
  for (const output of graph.outputs) {
    fetches[output.name] ??= await runtime.createStableTensor(output.dtype, sizesOf(output));
  }
  const session = await runtime.createSession(graph, weights, { capture: true });
  const { value } = await session.run(feeds, fetches);
  if (value === undefined) throw new Error("the graph has a value");
  const numbers = await runtime.read(value);
  await session.dispose();
  return numbers;
}

describe("blocks on WebGPU", () => {
  let gpu: Runtime;
  let cpu: Runtime;
  beforeAll(async () => {
    gpu = await createWebGpuRuntime({ float: "f32" });
    cpu = await createWasmRuntime();
  }, 60_000);
  afterAll(() => gpu?.dispose());

  describe.each(Object.keys(BLOCKS))("%s", (name) => {
    test.each(["f32", "q4"] as const)(
      "runs wholly on the GPU and agrees with the CPU, weights in %s",
      async (quantization) => {
        const g = new GraphBuilder({ name, float: "f32", quantization });
        const value = BLOCKS[name]?.(g);
        if (value !== undefined) g.output("value", value);
        const graph = g.build();
        const expected = await compute(cpu, graph, quantization);
        const actual = await compute(gpu, graph, quantization);
        expect(relativeError(actual, expected)).toBeLessThan(1e-5);
      },
      120_000, // SwiftShader compiles pipelines on the CPU
    );
  });
});
