// The codebook between a picture and its tokens: codes -> vectors, and vectors -> the nearest codes.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/vq_model.py#L219-L295
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { div, max, mul, sub } from "../ops/elementwise.ts";
import { matmul } from "../ops/linear.ts";
import { cast, gatherRows, reshape, transpose } from "../ops/movement.ts";
import { argMax, reduceL2 } from "../ops/reduction.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { plain } from "./linear.ts";

/** A table of code vectors. */
export interface CodebookConfig {
  /** Name of the table [codes, width] in the checkpoint. */
  readonly weight: string;
  readonly codes: number;
  readonly width: number;
  /** Vectors are scaled to length 1 before they are used, as Janus does. */
  readonly isNormalized: boolean;
}

// torch.nn.functional.normalize's.
const SMALLEST_LENGTH = 1e-12;

/** codes i32 [1, rows * columns], row by row -> vectors [1, width, rows, columns] for a decoder. */
export function codeVectors(
  g: GraphBuilder,
  codes: Value,
  [rows, columns]: readonly [number, number],
  config: CodebookConfig,
): Value {
  const found = gatherRows(g, tableOf(g, config), codes); // [1, rows * columns, width]
  const vectors = config.isNormalized ? normalized(g, found) : found;
  return reshape(g, transpose(g, vectors, [0, 2, 1]), [1, config.width, rows, columns]);
}

/**
 * Features [1, width, rows, columns] of an encoder -> the nearest codes i64 [1, rows * columns], row by row.
 * Compared in f32. Of several nearest codes the first is taken, as torch.argmin on the CPU does.
 */
export function nearestCodes(g: GraphBuilder, features: Value, config: CodebookConfig): Value {
  const { width, isNormalized } = config;
  const [, , rows, columns] = imageSizes(features);
  const flat = reshape(g, cast(g, features, "f32"), [width, rows * columns]);
  const raw = transpose(g, flat, [1, 0]); // [rows * columns, width]
  const table = cast(g, tableOf(g, config), "f32");
  const [vectors, entries] = isNormalized
    ? [normalized(g, raw), normalized(g, table)]
    : [raw, table];
  // |v - e|^2 = |v|^2 - 2 (v e - |e|^2 / 2): the nearest has the largest bracket.
  const products = matmul(g, vectors, transpose(g, entries, [1, 0])); // [rows * columns, codes]
  const lengths = reduceL2(g, entries, [1]); // [codes, 1]
  const half = mul(g, mul(g, lengths, lengths), g.scalar(0.5, "f32"));
  const closeness = sub(g, products, reshape(g, half, [1, fixed(entries.shape[0])]));
  return reshape(g, argMax(g, closeness), [1, rows * columns]);
}

/** Rows of x scaled to length 1. */
function normalized(g: GraphBuilder, x: Value): Value {
  const wide = cast(g, x, "f32");
  const lengths = reduceL2(g, wide, [x.shape.length - 1]);
  return cast(g, div(g, wide, max(g, lengths, g.scalar(SMALLEST_LENGTH, "f32"))), x.dtype);
}

function tableOf(g: GraphBuilder, { weight, codes, width }: CodebookConfig): Value {
  return plain(g, weight, [codes, width]);
}
