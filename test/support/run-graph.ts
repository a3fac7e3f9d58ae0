// Runs a built graph once, on onnxruntime's CPU provider in Node. Independent of session/ on purpose: a
// fault there must not look like a fault of a graph.
import * as ort from "onnxruntime-web/wasm";
import type { FloatType, Quantization } from "../../src/base/dtype.ts";
import { f16ToF32, f32ToF16 } from "../../src/base/float16.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph, Value } from "../../src/graph/graph.ts";
import {
  inventedWeights,
  storeWeight,
  type StoredBytes,
  type WeightValues,
} from "./store-weight.ts";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";

/** A result: f16 is widened. */
export interface Result {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What a graph runs on. */
export interface RunOptions {
  /** Numbers of every input, by name. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  /** Numbers of every weight; default: invented ones. */
  readonly weights?: WeightValues;
  /** What the graph was built for; default f32. */
  readonly quantization?: Quantization;
  readonly float?: FloatType;
  readonly companion?: string;
}

/** Builds a graph around one value and runs it. */
export async function evaluate(
  make: (g: GraphBuilder) => Value,
  options: RunOptions = {},
): Promise<Result> {
  const { float = "f32", quantization = "f32", companion = "" } = options;
  const g = new GraphBuilder({ name: "evaluate", float, quantization, companion });
  g.output("value", make(g));
  const { value } = await runGraph(g.build(), options);
  if (value === undefined) throw new Error("a graph gives its output");
  return value;
}

/**
 * The outputs of one run.
 *
 * @throws Error when onnxruntime refuses the graph, and when an output has another shape than the builder said
 */
export async function runGraph(
  graph: Graph,
  { inputs = {}, weights = inventedWeights, quantization = "f32" }: RunOptions = {},
): Promise<Record<string, Result>> {
  const stored = graph.weights.flatMap((weight) => storeWeight(weight, quantization, weights));
  const feeds = Object.fromEntries([
    ...graph.inputs.map((input) => [input.name, feed(input, inputs[input.name])] as const),
    ...graph.weightParts.map((part) => [part.name, weightFeed(part, stored)] as const),
  ]);
  const session = await ort.InferenceSession.create(graph.bytes, { executionProviders: ["wasm"] });
  const results = await session.run(feeds);
  await session.release();
  return Object.fromEntries(graph.outputs.map((output) => [output.name, result(output, results)]));
}

function feed({ name, dtype, shape }: Value, numbers: ArrayLike<number> | undefined): ort.Tensor {
  if (numbers === undefined) throw new Error(`input ${name} has no numbers`);
  const known = shape.reduce<number>((all, size) => all * (typeof size === "number" ? size : 1), 1);
  const sizes = shape.map((size) => (typeof size === "number" ? size : numbers.length / known));
  switch (dtype) {
    case "f32":
      return new ort.Tensor("float32", Float32Array.from(numbers), sizes);
    case "f16":
      return new ort.Tensor("float16", f32ToF16(Float32Array.from(numbers)), sizes);
    case "i32":
      return new ort.Tensor("int32", Int32Array.from(numbers), sizes);
    case "i64":
      return new ort.Tensor("int64", BigInt64Array.from(Array.from(numbers, BigInt)), sizes);
    default:
      throw new Error(`no graph of ours has an input ${dtype}`);
  }
}

// A float part is stored as f32 or f16 and bound in the float type of the graph, as a session does it.
function weightFeed(
  { name, dtype, shape }: Graph["weightParts"][number],
  stored: readonly StoredBytes[],
): ort.Tensor {
  const found = stored.find((part) => part.name === name);
  if (found === undefined) throw new Error(`weight part ${name} is not stored`);
  const sizes = [...shape];
  if (found.dtype === "u8") return new ort.Tensor("uint8", found.data, sizes);
  const { data } = found;
  if (dtype === "f16") {
    return new ort.Tensor("float16", data instanceof Uint16Array ? data : f32ToF16(data), sizes);
  }
  return new ort.Tensor("float32", data instanceof Uint16Array ? f16ToF32(data) : data, sizes);
}

function result(output: Value, results: Readonly<Record<string, ort.Tensor>>): Result {
  const tensor = results[output.name];
  const same = tensor?.dims.every(
    (size, axis) => typeof output.shape[axis] === "string" || size === output.shape[axis],
  );
  if (tensor === undefined || !same || tensor.dims.length !== output.shape.length) {
    throw new Error(`${output.name} is [${tensor?.dims.join()}], not [${output.shape.join()}]`);
  }
  return { shape: tensor.dims, values: widened(tensor.data) };
}

function widened(data: ort.Tensor["data"]): Float32Array {
  if (data instanceof Uint16Array) return f16ToF32(data);
  if (data instanceof BigInt64Array) return Float32Array.from(data, Number);
  return Float32Array.from(data as never);
}
