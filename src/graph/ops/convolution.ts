// Convolutions over [n, channels, height, width].
import { assert } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";
import { imageSizes } from "./sizes.ts";

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
  const [rows, channels, height, width] = imageSizes(x);
  const [out, inner, kernelHeight, kernelWidth] = imageSizes(weight);
  assert(channels === inner * groups, `[${x.shape.join()}] * [${weight.shape.join()}]`);
  const steps = (size: number, kernel: number): number =>
    Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const shape = [rows, out, steps(height, kernelHeight), steps(width, kernelWidth)];
  const attributes = {
    kernel_shape: [kernelHeight, kernelWidth],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    group: groups,
  };
  return one(g.node("Conv", [x, weight, bias], [{ dtype: x.dtype, shape }], attributes));
}

/** How a transposed convolution spreads. */
export interface TransposedConvolutionOptions {
  readonly stride: number;
  readonly padding: number;
  /** Rows and columns that are added at the end, of the sizes that the stride leaves open. */
  readonly outputPadding: number;
}

/** The transpose of a convolution: x * weight [in, out, height, width] + bias [out]. */
export function transposedConvolution(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  bias: Value,
  { stride, padding, outputPadding }: TransposedConvolutionOptions,
): Value {
  const [rows, channels, height, width] = imageSizes(x);
  const [inner, out, kernelHeight, kernelWidth] = imageSizes(weight);
  assert(channels === inner, `[${x.shape.join()}] * [${weight.shape.join()}]`);
  const steps = (size: number, kernel: number): number =>
    (size - 1) * stride - 2 * padding + kernel + outputPadding;
  const shape = [rows, out, steps(height, kernelHeight), steps(width, kernelWidth)];
  const attributes = {
    kernel_shape: [kernelHeight, kernelWidth],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    output_padding: [outputPadding, outputPadding],
  };
  return one(g.node("ConvTranspose", [x, weight, bias], [{ dtype: x.dtype, shape }], attributes));
}
