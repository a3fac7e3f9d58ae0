// Linear layers and embeddings: the two uses of a weight that may be quantized. Which operation computes
// them follows from how the weight is stored.
import { assert, present } from "../../base/assert.ts";
import type { Shape } from "../../base/shape.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { add } from "../ops/elementwise.ts";
import { gatherBlockQuantized, matMulNBits, matmul } from "../ops/linear.ts";
import { gatherRows } from "../ops/movement.ts";
import { fixed } from "../ops/sizes.ts";

/** A linear layer by its checkpoint names. */
export interface LinearWeights {
  readonly weight: string;
  readonly bias?: string;
  /** Output features. */
  readonly out: number;
  /** Rows of a fused weight and bias, when only some of them are this layer; needs `sourceShape`. */
  readonly rows?: readonly [start: number, end: number];
  /** Shape in the checkpoint where it is not [out, in]. */
  readonly sourceShape?: Shape;
  readonly aliases?: readonly string[];
  readonly biasAliases?: readonly string[];
  readonly keepAtLeast?: NonNullable<WeightDeclaration["keepAtLeast"]>;
}

/** A linear layer whose weight and bias share the beginning of their names. */
export function biased(name: string, out: number): LinearWeights {
  return { weight: `${name}.weight`, bias: `${name}.bias`, out };
}

/** x [..., in] -> x W' + b [..., out]. */
export function linear(g: GraphBuilder, x: Value, layer: LinearWeights): Value {
  const { weight, bias, out, rows, sourceShape, aliases, keepAtLeast } = layer;
  assert(rows === undefined || rows[1] - rows[0] === out, `${weight} has ${out} rows`);
  assert(rows === undefined || sourceShape !== undefined, `${weight} says what it is cut from`);
  const [values, scales] = g.weight({
    tensor: weight,
    shape: [out, fixed(x.shape.at(-1))],
    use: "linear",
    ...(rows === undefined ? {} : { rows }),
    ...(sourceShape === undefined ? {} : { sourceShape }),
    ...(aliases === undefined ? {} : { aliases }),
    ...(keepAtLeast === undefined ? {} : { keepAtLeast }),
  });
  const stored = present(values, weight);
  const product = scales === undefined ? matmul(g, x, stored) : matMulNBits(g, x, stored, scales);
  return bias === undefined ? product : add(g, product, biasOf(g, bias, layer));
}

/** ids i32 [...] -> rows of the table [..., width]. */
export function embedding(
  g: GraphBuilder,
  ids: Value,
  {
    weight,
    rows,
    width,
  }: { readonly weight: string; readonly rows: number; readonly width: number },
): Value {
  const [values, scales] = g.weight({ tensor: weight, shape: [rows, width], use: "embedding" });
  const table = present(values, weight);
  if (scales === undefined) return gatherRows(g, table, ids);
  return gatherBlockQuantized(g, { values: table, scales, indices: ids }, width);
}

/** A weight that is used as it is in the checkpoint. */
export function plain(
  g: GraphBuilder,
  tensor: string,
  shape: Shape,
  aliases: readonly string[] = [],
): Value {
  return present(g.weight({ tensor, shape, use: "plain", aliases })[0], tensor);
}

function biasOf(g: GraphBuilder, tensor: string, layer: LinearWeights): Value {
  const { out, rows, sourceShape, biasAliases } = layer;
  const cut = rows && sourceShape ? { rows, sourceShape: sourceShape.slice(0, 1) } : {};
  const aliases = biasAliases ?? [];
  return present(g.weight({ tensor, shape: [out], use: "plain", aliases, ...cut })[0], tensor);
}
