// What a graph builder produces: an ONNX file and the ports that a session binds. Plain data.
import type { DType } from "../base/dtype.ts";
import type { ResultSizes } from "./result-sizes.ts";
import type { StoredPart, WeightDeclaration } from "./weight-declaration.ts";

/** A dimension: fixed, or named and fixed at each run. */
export type Dimension = number | string;

/** A named tensor in a graph. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dimension[];
}

/** A built graph: ONNX bytes (weights are inputs, so a few KB) and its ports. */
export interface Graph {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Inputs that change from run to run, in declaration order; weights are not listed here. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly weights: readonly WeightDeclaration[];
  /** Graph inputs that weights bind to, by stored part name (in the graph's float type where the part is a float). */
  readonly weightParts: readonly StoredPart[];
  /** What it takes beside its ports while it runs; absent: not known. */
  readonly results?: ResultSizes;
}
