// What a model will take, computed from its configuration alone: what is stored, what is on the device, and
// which device can run it.
import { present } from "../base/assert.ts";
import type { Quantization } from "../base/dtype.ts";
import { elementCount } from "../base/shape.ts";
import type { StoredPart, WeightDeclaration } from "../base/weight-declaration.ts";
import { storageOf, storedParts } from "../base/weight-declaration.ts";
import { partBytes, SHARD_BYTES } from "../weights/layout.ts";
import { valueBytes } from "../graph/result-sizes.ts";
import type { GraphOptions, StageWork } from "../models/family.ts";
import type { KnownModel } from "./known-model.ts";

/** Tensors of one repository that the family reads. */
export interface TensorTotals {
  /** "" for the model's own files, else the companion's id. */
  readonly companion: string;
  readonly tensors: number;
  /** Numbers in them. */
  readonly parameters: number;
}

/** Bytes that a stage takes of the device: its weights, and what a request of the usual size needs beside them. */
export interface StageSize {
  readonly name: string;
  /** Of weights. */
  readonly bytes: number;
  /** Of caches, tables and latents, as long as the stage is there. */
  readonly heldBytes: number;
  /** Of intermediate results, while the largest of its graphs runs. */
  readonly passingBytes: number;
}

/** A model under one quantization. */
export interface QuantizedPlan {
  readonly quantization: Quantization;
  /** In the store, and in a converted folder. */
  readonly storedBytes: number;
  readonly shards: number;
  readonly stages: readonly StageSize[];
  /** Weights of all stages at once; those that they share count once. */
  readonly residentBytes: number;
  /** What comes on top of them for a request of the usual size: what every stage holds, and the largest passing. */
  readonly workingBytes: number;
  /** Weights of the largest stage: what a `memoryBudgetBytes` must have room for when stages take turns. */
  readonly largestStageBytes: number;
  /** The most that one stage takes alone, weights and all: what the device must have when stages take turns. */
  readonly largestTurnBytes: number;
  /** The largest weight. */
  readonly largestBuffer: NamedSize;
  /** The largest intermediate result, by the graph that makes it. */
  readonly largestResult: NamedSize;
}

/** Bytes of one buffer. */
export interface NamedSize {
  readonly name: string;
  readonly bytes: number;
}

/** A model under every quantization that is worth telling. */
export interface Plan {
  readonly source: string;
  readonly family: string;
  readonly totals: readonly TensorTotals[];
  readonly quantized: readonly QuantizedPlan[];
}

/** Limits of a device; absent ones do not limit. */
export interface DeviceLimits {
  /** The smaller of maxBufferSize and maxStorageBufferBindingSize: for weights and for intermediate results. */
  readonly maxBufferBytes?: number | undefined;
  /** For weights: what `memoryBudgetBytes` would be. */
  readonly memoryBytes?: number | undefined;
}

const QUANTIZATIONS: readonly Quantization[] = ["q4", "q8", "f16"];

/** Plans a model for a device that computes in f16. */
export function planModel({ source, family, config }: KnownModel): Plan {
  return {
    source,
    family: family.id,
    totals: countTensors(family.declareWeights(config, "q4")),
    quantized: QUANTIZATIONS.map((quantization) =>
      planQuantized({ family, config }, { quantization, float: "f16" }),
    ),
  };
}

/** Why a device does not run a model. */
export interface Obstacle {
  /** A weight, an intermediate result of the usual size, or the weights of a stage. */
  readonly kind: "buffer" | "result" | "memory";
  readonly neededBytes: number;
}

/** Whether the device runs it: undefined when it does, with all stages at once or in turns; else why not. */
export function obstacle(
  { largestBuffer, largestResult, largestStageBytes }: QuantizedPlan,
  { maxBufferBytes = Infinity, memoryBytes = Infinity }: DeviceLimits,
): Obstacle | undefined {
  if (largestBuffer.bytes > maxBufferBytes) {
    return { kind: "buffer", neededBytes: largestBuffer.bytes };
  }
  if (largestResult.bytes > maxBufferBytes) {
    return { kind: "result", neededBytes: largestResult.bytes };
  }
  return largestStageBytes > memoryBytes
    ? { kind: "memory", neededBytes: largestStageBytes }
    : undefined;
}

// Each tensor once, whole, however many slices of it are declared.
function countTensors(declarations: readonly WeightDeclaration[]): TensorTotals[] {
  const companions = [...new Set(declarations.map(({ companion }) => companion))].toSorted();
  return companions.map((companion) => {
    const weights = declarations.filter((weight) => weight.companion === companion);
    const tensors = new Map(weights.map(({ tensor, sourceShape }) => [tensor, sourceShape]));
    const parameters = [...tensors.values()].reduce((sum, shape) => sum + elementCount(shape), 0);
    return { companion, tensors: tensors.size, parameters };
  });
}

/** One quantization of a model, for a device that computes in `float`. */
export function planQuantized(
  { family, config }: Pick<KnownModel, "family" | "config">,
  { quantization, float }: GraphOptions,
): QuantizedPlan {
  const weights = family.declareWeights(config, quantization);
  const stored = weights.flatMap((weight) => storedParts(weight, storageOf(weight, quantization)));
  const storedBytes = sizeOf(stored);
  const graphs = family.stageGraphs(config, { float, quantization });
  const work = family.stageWork(config, { float, quantization });
  const stages = Object.entries(graphs).map(([name, stage]) => ({
    name,
    parts: stage.flatMap(({ weightParts }) => weightParts),
  }));
  const parts = stages.flatMap((stage) => stage.parts);
  const sizes = stages.map(({ name, parts: own }) => ({
    name,
    bytes: sizeOf(own),
    ...workSize(present(work[name], `work of ${name}`)),
  }));
  const held = sizes.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  return {
    quantization,
    storedBytes,
    shards: Math.ceil(storedBytes / SHARD_BYTES),
    stages: sizes,
    residentBytes: sizeOf(parts),
    workingBytes: held + Math.max(0, ...sizes.map(({ passingBytes }) => passingBytes)),
    largestStageBytes: Math.max(0, ...sizes.map(({ bytes }) => bytes)),
    largestTurnBytes: Math.max(
      0,
      ...sizes.map(({ bytes, heldBytes, passingBytes }) => bytes + heldBytes + passingBytes),
    ),
    largestBuffer: largestOf(parts.map((part) => ({ name: part.name, bytes: partBytes(part) }))),
    largestResult: largestOf(Object.values(work).flatMap(resultSizes)),
  };
}

function workSize({ loops, passes }: StageWork): Pick<StageSize, "heldBytes" | "passingBytes"> {
  const inputs = loops.flatMap((graph) => graph.inputs.map(valueBytes));
  const peaks = [...loops, ...passes].map(({ results }) => results?.peakBytes ?? 0);
  return {
    heldBytes: inputs.reduce((sum, bytes) => sum + bytes, 0),
    passingBytes: Math.max(0, ...peaks),
  };
}

function resultSizes({ loops, passes }: StageWork): NamedSize[] {
  return [...loops, ...passes].map(({ name, results }) => ({
    name,
    bytes: results?.largestBytes ?? 0,
  }));
}

function sizeOf(parts: readonly StoredPart[]): number {
  const byName = new Map(parts.map((part) => [part.name, partBytes(part)]));
  return [...byName.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function largestOf(sizes: readonly NamedSize[]): NamedSize {
  const none: NamedSize = { name: "", bytes: 0 };
  return sizes.reduce((largest, size) => (size.bytes > largest.bytes ? size : largest), none);
}
