// What a model will take, computed from its configuration alone: what is stored, what is on the device, and
// which device can run it.
import type { Quantization } from "../base/dtype.ts";
import { elementCount } from "../base/shape.ts";
import type { StoredPart, WeightDeclaration } from "../base/weight-declaration.ts";
import { storageOf, storedParts } from "../base/weight-declaration.ts";
import { partBytes, SHARD_BYTES } from "../weights/layout.ts";
import type { GraphOptions } from "../models/family.ts";
import type { KnownModel } from "./known-model.ts";

/** Tensors of one repository that the family reads. */
export interface TensorTotals {
  /** "" for the model's own files, else the companion's id. */
  readonly companion: string;
  readonly tensors: number;
  /** Numbers in them. */
  readonly parameters: number;
}

/** Bytes of weights that a stage brings to the device. */
export interface StageSize {
  readonly name: string;
  readonly bytes: number;
}

/** A model under one quantization. Bytes of weights; caches and intermediate results come on top. */
export interface QuantizedPlan {
  readonly quantization: Quantization;
  /** In the store, and in a converted folder. */
  readonly storedBytes: number;
  readonly shards: number;
  readonly stages: readonly StageSize[];
  /** All stages at once; weights that they share count once. */
  readonly residentBytes: number;
  /** The largest stage: what the device must hold when stages take turns. */
  readonly largestStageBytes: number;
  readonly largestBuffer: { readonly name: string; readonly bytes: number };
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
  /** The smaller of maxBufferSize and maxStorageBufferBindingSize. */
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

/** Whether the device runs it: undefined when it does, with all stages at once or in turns; else why not. */
export function obstacle(
  { largestBuffer, largestStageBytes }: QuantizedPlan,
  { maxBufferBytes = Infinity, memoryBytes = Infinity }: DeviceLimits,
): { readonly kind: "buffer" | "memory"; readonly neededBytes: number } | undefined {
  if (largestBuffer.bytes > maxBufferBytes) {
    return { kind: "buffer", neededBytes: largestBuffer.bytes };
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
  const stages = Object.entries(graphs).map(([name, stage]) => ({
    name,
    parts: stage.flatMap(({ weightParts }) => weightParts),
  }));
  const parts = stages.flatMap((stage) => stage.parts);
  const sizes = stages.map((stage) => ({ name: stage.name, bytes: sizeOf(stage.parts) }));
  return {
    quantization,
    storedBytes,
    shards: Math.ceil(storedBytes / SHARD_BYTES),
    stages: sizes,
    residentBytes: sizeOf(parts),
    largestStageBytes: Math.max(0, ...sizes.map(({ bytes }) => bytes)),
    largestBuffer: largestOf(parts),
  };
}

function sizeOf(parts: readonly StoredPart[]): number {
  const byName = new Map(parts.map((part) => [part.name, partBytes(part)]));
  return [...byName.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function largestOf(parts: readonly StoredPart[]): {
  readonly name: string;
  readonly bytes: number;
} {
  let largest = { name: "", bytes: 0 };
  for (const part of parts) {
    const bytes = partBytes(part);
    if (bytes > largest.bytes) largest = { name: part.name, bytes };
  }
  return largest;
}
