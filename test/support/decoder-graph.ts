// A decoder of one attention layer with a key/value cache that is updated in place: the smallest graph
// that has everything a real decode loop has.
import type { Graph } from "../../src/graph/graph.ts";
import type { Counters, Runtime, Tensor } from "../../src/session/runtime.ts";
import { onnxGraph } from "./onnx.ts";

export const DECODER = { vocabulary: 24, heads: 2, headSize: 16, capacity: 16 } as const;

const HIDDEN = DECODER.heads * DECODER.headSize;
const CACHE = [1, DECODER.heads, DECODER.capacity, DECODER.headSize] as const;

export function decoderGraph(): Graph {
  const { vocabulary, heads } = DECODER;
  return onnxGraph({
    name: "decoder",
    inputs: [
      { name: "token", dtype: "i32", shape: [1, 1] },
      { name: "pastKey", dtype: "f32", shape: CACHE },
      { name: "pastValue", dtype: "f32", shape: CACHE },
      { name: "pastLength", dtype: "i32", shape: [1] },
      { name: "totalLength", dtype: "i32", shape: [1] },
    ],
    outputs: [
      { name: "logits", dtype: "f32", shape: [1, 1, vocabulary] },
      { name: "presentKey", dtype: "f32", shape: CACHE },
      { name: "presentValue", dtype: "f32", shape: CACHE },
    ],
    weightParts: [
      { name: "embedding", dtype: "f32", shape: [vocabulary, HIDDEN] },
      { name: "qkv", dtype: "f32", shape: [HIDDEN, 3 * HIDDEN] },
      { name: "head", dtype: "f32", shape: [HIDDEN, vocabulary] },
    ],
    nodes: [
      { op: "Gather", inputs: ["embedding", "token"], outputs: ["hidden"] },
      { op: "MatMul", inputs: ["hidden", "qkv"], outputs: ["projected"] },
      {
        op: "GroupQueryAttention",
        domain: "com.microsoft",
        inputs: ["projected", "", "", "pastKey", "pastValue", "pastLength", "totalLength"],
        outputs: ["attended", "presentKey", "presentValue"],
        attributes: { num_heads: heads, kv_num_heads: heads },
      },
      { op: "MatMul", inputs: ["attended", "head"], outputs: ["logits"] },
    ],
  });
}

export function decoderWeights(runtime: Runtime): Map<string, Tensor> {
  const weights = new Map<string, Tensor>();
  decoderGraph().weightParts.forEach(({ name, shape }, n) => {
    const values = Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, i) => Math.sin(i * 0.73 + n) * 0.6,
    );
    weights.set(name, runtime.createTensor("f32", shape, values));
  });
  return weights;
}

/** The decode loop over the graph: returns the picked ids, the last logits and the cache. */
export async function decode(
  runtime: Runtime,
  weights: Map<string, Tensor>,
  options: { readonly capture: boolean; readonly steps: number },
) {
  const { vocabulary, capacity } = DECODER;
  const session = await runtime.createSession(decoderGraph(), weights, {
    capture: options.capture,
  });
  const token = runtime.createTensor("i32", [1, 1], Int32Array.of(3));
  const ids = runtime.createTensor("i32", [capacity]);
  const count = runtime.createTensor("i32", [1]);
  const pastLength = runtime.createTensor("i32", [1], Int32Array.of(0));
  const totalLength = runtime.createTensor("i32", [1], Int32Array.of(1));
  const logits = await runtime.createStableTensor("f32", [1, 1, vocabulary]);
  const key = await runtime.createStableTensor("f32", CACHE);
  const value = await runtime.createStableTensor("f32", CACHE);
  const pick = runtime.kernels.pickToken({
    logits,
    vocabularySize: vocabulary,
    rules: runtime.createTensor("u32", [vocabulary]),
    repetitionPenalty: 1,
    token,
    ids,
    count,
    advance: [pastLength, totalLength],
    temperature: 0.7,
    topK: 12,
    topP: 0.95,
    seed: 11,
  });
  const feeds = { token, pastKey: key, pastValue: value, pastLength, totalLength };
  const fetches = { logits, presentKey: key, presentValue: value };
  const step = async () => {
    await session.run(feeds, fetches);
    pick();
  };
  const counts: Counters[] = [];
  for (let i = 0; i < options.steps; i++) {
    const before = { ...runtime.counters };
    await step();
    counts.push(difference(before, { ...runtime.counters }));
  }
  const result = {
    ids: await runtime.read(ids),
    logits: await runtime.read(logits),
    key: await runtime.read(key),
    total: await runtime.read(totalLength),
    counts,
  };
  await session.dispose();
  for (const tensor of [token, ids, count, pastLength, totalLength, logits, key, value])
    tensor.dispose();
  return result;
}

/** What was counted between two copies of `runtime.counters`. */
export function difference(before: Counters, after: Counters): Counters {
  return {
    readbacks: after.readbacks - before.readbacks,
    uploads: after.uploads - before.uploads,
    submits: after.submits - before.submits,
    drains: after.drains - before.drains,
    fences: after.fences - before.fences,
  };
}
