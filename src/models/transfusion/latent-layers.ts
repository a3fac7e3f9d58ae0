// Convolutions between latents and the transformer's slots (`pre_post_transformer_enc_dec`): as JSON, as
// sizes, as a graph.
import { fail } from "../../base/errors.ts";
import { plain } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { convolution, transposedConvolution } from "../../graph/ops/convolution.ts";
import { gelu, silu } from "../../graph/ops/elementwise.ts";
import { ConfigReader } from "../config-reader.ts";
import { MAX_WIDTH } from "../size-limits.ts";

/** One module of torch.nn. */
export type LatentLayer =
  | { readonly kind: "SiLU" | "GELU"; readonly name: string }
  | {
      readonly kind: "Conv2d" | "ConvTranspose2d";
      /** Beginning of the checkpoint's names, with its dot. */
      readonly name: string;
      readonly inChannels: number;
      readonly outChannels: number;
      readonly kernel: number;
      readonly stride: number;
      readonly padding: number;
      readonly outputPadding: number;
    };

/** Modules before and behind the transformer. */
export interface LatentLayers {
  readonly encoder: readonly LatentLayer[];
  readonly decoder: readonly LatentLayer[];
}

interface Ends {
  readonly latentSize: number;
  readonly dim: number;
  readonly isChannelFirst: boolean;
}

const MAX_KERNEL = 64;
const KEY = "pre_post_transformer_enc_dec";

/**
 * The modules of a config.json: a pair, each one `{"type": "Conv2d", ...}` or a list of them (nn.Sequential).
 *
 * @throws ModelError checkpoint-invalid for channels that do not meet, unsupported-model for other modules
 */
export function readLatentLayers(json: unknown, ends: Ends): LatentLayers | undefined {
  const pair = (json as Readonly<Record<string, unknown>>)[KEY] ?? undefined;
  if (pair === undefined) return undefined;
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw fail("checkpoint-invalid", `config.json: ${KEY} must be a pair of modules.`);
  }
  if (!ends.isChannelFirst) {
    throw fail("unsupported-model", `config.json: ${KEY} needs channel_first_latent.`);
  }
  const [before, behind] = pair as unknown[];
  // the library puts a Rearrange behind the one and before the other
  const encoder = readModules(before, "latent_to_model_projs.0.0.");
  const decoder = readModules(behind, "model_to_latent_projs.0.1.");
  checkChannels(encoder, ends.latentSize, ends.dim);
  checkChannels(decoder, ends.dim, ends.latentSize);
  return { encoder, decoder };
}

/** x [n, channels, height, width] through the modules. */
export function latentLayers(g: GraphBuilder, x: Value, layers: readonly LatentLayer[]): Value {
  let y = x;
  for (const layer of layers) y = apply(g, y, layer);
  return y;
}

/** Positions of a grid behind the modules. */
export function layeredGrid(
  [rows, columns]: readonly [number, number],
  layers: readonly LatentLayer[],
): [number, number] {
  const pass = (size: number): number => layers.reduce((left, layer) => steps(left, layer), size);
  return [pass(rows), pass(columns)];
}

function steps(size: number, layer: LatentLayer): number {
  if (!("kernel" in layer)) return size;
  const { kernel, stride, padding, outputPadding } = layer;
  return layer.kind === "Conv2d"
    ? Math.floor((size + 2 * padding - kernel) / stride) + 1
    : (size - 1) * stride - 2 * padding + kernel + outputPadding;
}

function apply(g: GraphBuilder, x: Value, layer: LatentLayer): Value {
  if (!("kernel" in layer)) return layer.kind === "SiLU" ? silu(g, x) : gelu(g, x);
  const { kind, name, inChannels, outChannels, kernel, ...sizes } = layer;
  const bias = plain(g, `${name}bias`, [outChannels]);
  if (kind === "Conv2d") {
    const weight = plain(g, `${name}weight`, [outChannels, inChannels, kernel, kernel]);
    const { stride, padding } = sizes;
    return convolution(g, x, weight, bias, { stride, padding });
  }
  const weight = plain(g, `${name}weight`, [inChannels, outChannels, kernel, kernel]);
  return transposedConvolution(g, x, weight, bias, sizes);
}

function readModules(json: unknown, prefix: string): LatentLayer[] {
  if (!Array.isArray(json)) return [readModule(json, prefix)];
  return (json as unknown[]).map((module, index) => readModule(module, `${prefix}${index}.`));
}

function readModule(json: unknown, name: string): LatentLayer {
  const module = new ConfigReader(json, `config.json ${KEY}`);
  const kind = module.text("type", "nothing");
  if (kind === "SiLU" || kind === "GELU") return { kind, name };
  if (kind !== "Conv2d" && kind !== "ConvTranspose2d") {
    throw fail(
      "unsupported-model",
      `config.json: ${KEY} has a "${kind}"; Conv2d, ConvTranspose2d, SiLU and GELU are supported.`,
    );
  }
  const size = (key: string, fallback?: number): number =>
    module.integer(key, {
      min: 0,
      max: MAX_KERNEL,
      ...(fallback === undefined ? {} : { fallback }),
    });
  return {
    kind,
    name,
    inChannels: module.integer("in_channels", { max: MAX_WIDTH }),
    outChannels: module.integer("out_channels", { max: MAX_WIDTH }),
    kernel: module.integer("kernel_size", { max: MAX_KERNEL }),
    stride: module.integer("stride", { max: MAX_KERNEL, fallback: 1 }),
    padding: size("padding", 0),
    outputPadding: size("output_padding", 0),
  };
}

function checkChannels(layers: readonly LatentLayer[], first: number, last: number): void {
  let channels = first;
  for (const layer of layers) {
    if (!("kernel" in layer)) continue;
    if (layer.inChannels !== channels) throw wrongChannels(channels, layer.inChannels);
    channels = layer.outChannels;
  }
  if (channels !== last) throw wrongChannels(channels, last);
}

function wrongChannels(found: number, wanted: number): Error {
  return fail("checkpoint-invalid", `config.json: ${KEY} meets ${found} channels, not ${wanted}.`);
}
