// The codebook between a picture and its tokens: codes -> vectors, and vectors -> the nearest codes.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/vq_model.py#L219-L295
import { brokenNumbers } from "../../base/numerics.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { div, max, mul, sub } from "../ops/elementwise.ts";
import { matmul } from "../ops/linear.ts";
import { cast, concat, gatherRows, reshape, transpose } from "../ops/movement.ts";
import { argMax, reduceL2, reduceSum } from "../ops/reduction.ts";
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
 * Features [1, width, rows, columns] of an encoder -> f32 [2, rows * columns], row by row: the nearest codes, and
 * the sums of what they were chosen by, for {@link readCodes}. Compared in f32. Of several nearest codes the first
 * is taken, as torch.argmin on the CPU does.
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
  // The nearest of what is no number is a code like any other; the sum is then no number either.
  const codes = reshape(g, cast(g, argMax(g, closeness), "f32"), [1, rows * columns]);
  const sums = reshape(g, reduceSum(g, closeness, [1]), [1, rows * columns]);
  return concat(g, [codes, sums], 0);
}

/**
 * What {@link nearestCodes} gave, on the host.
 *
 * @throws ModelError numerics where a code was chosen by what is no number, or by nothing at all
 */
export function readCodes(chosen: Float32Array): Int32Array {
  const count = chosen.length / 2;
  const [codes, sums] = [chosen.subarray(0, count), chosen.subarray(count)];
  // Of real distances none is exactly 0 on average: memory that a device forgot.
  const broken = sums.findIndex((sum) => !Number.isFinite(sum) || sum === 0);
  if (broken < 0) return Int32Array.from(codes);
  const what = `Code ${broken + 1} of ${count} of a seen picture was chosen by what is no number`;
  throw brokenNumbers(what, { code: broken + 1 });
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
