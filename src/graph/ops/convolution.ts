// Convolutions over [n, channels, height, width].
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";

/** How a kernel moves. */
export interface ConvolutionOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
}

/** x * weight [out, in / groups, height, width] + bias [out]. */
export function convolution(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  bias: Value | undefined,
  { stride = 1, padding = 0, groups = 1 }: ConvolutionOptions = {},
): Value {
  const [out = 1, , kernelHeight = 1, kernelWidth = 1] = weight.shape;
  const [rows, , height, width] = x.shape;
  const steps = (size: number, kernel: number): number =>
    Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const shape = [
    present(rows, "rows"),
    out,
    steps(Number(height), Number(kernelHeight)),
    steps(Number(width), Number(kernelWidth)),
  ];
  const attributes = {
    kernel_shape: [Number(kernelHeight), Number(kernelWidth)],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    group: groups,
  };
  return one(g.node("Conv", [x, weight, bias], [{ dtype: x.dtype, shape }], attributes));
}
