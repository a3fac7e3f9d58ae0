// Pictures and the transformer's slots: the autoencoder, patches of its latents, the layers between them
// and the slots. Latents of a picture are [rows, columns, numbers], as the library's noise is.
import { biased, linear } from "../../graph/blocks/linear.ts";
import { vaeDecoder, vaeEncoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add, div, max, mul, silu, sub } from "../../graph/ops/elementwise.ts";
import { cast, reshape, transpose } from "../../graph/ops/movement.ts";
import { fixed } from "../../graph/ops/sizes.ts";
import type { GraphOptions } from "../family.ts";
import type { TransfusionConfig } from "./config.ts";
import { latentLayers, layeredGrid } from "./latent-layers.ts";

/** [rows, columns] of something. */
export type Grid = readonly [number, number];

/** The transformer's slots of a picture, which convolutions make fewer than its latent positions. */
export function slotGrid({ layers }: TransfusionConfig, grid: Grid): Grid {
  return layers === undefined ? grid : layeredGrid(grid, layers.encoder);
}

/** Pixels along each side of one latent position. */
export function pixelsPerPosition({ vae, patchSize }: TransfusionConfig): number {
  return patchSize * 2 ** (vae.blockOutChannels.length - 1);
}

/** Latents [rows, columns, numbers] -> slots [1, slots, dim], without positions. */
export function enterSlots(g: GraphBuilder, latents: Value, config: TransfusionConfig): Value {
  const { latentSize, layers, isChannelFirst, transformer } = config;
  const { dim } = transformer;
  const name = `latent_to_model_projs.0${isChannelFirst ? ".1" : ""}`;
  const flat = reshape(g, latents, [1, -1, latentSize]);
  if (layers === undefined) return latentSize === dim ? flat : linear(g, flat, biased(name, dim));
  const channels = transpose(g, reshape(g, latents, [1, ...latents.shape]), [0, 3, 1, 2]);
  const grid = latentLayers(g, channels, layers.encoder);
  return reshape(g, transpose(g, grid, [0, 2, 3, 1]), [1, -1, dim]);
}

/** The positions of a grid of slots, [1, slots, dim]: one small network for each axis, summed. */
export function slotPositions(g: GraphBuilder, grid: Grid, config: TransfusionConfig): Value {
  const { dim } = config.transformer;
  const [rows, columns] = grid;
  const axis = (index: number, size: number): Value => {
    const count = g.constant(
      "f32",
      [size, 1],
      Float32Array.from({ length: size }, (_, k) => k),
    );
    const layer = (x: Value, number: number, out: number): Value => {
      const name = `pos_emb_mlp.0.mlps.${index}.${number}`;
      return linear(g, x, { ...biased(name, out), keepAtLeast: "f16" });
    };
    const first = silu(g, layer(cast(g, count, g.float), 0, 2 * dim));
    return layer(silu(g, layer(first, 2, 2 * dim)), 4, dim);
  };
  const [down, right] = [axis(0, rows), axis(1, columns)];
  const sum = add(g, reshape(g, down, [rows, 1, dim]), reshape(g, right, [1, columns, dim]));
  return reshape(g, sum, [1, rows * columns, dim]);
}

/**
 * Hidden states [n, slots, dim] -> velocity [n, rows, columns, numbers] of a grid of latents.
 *
 * @param entered - what the slots were before their positions, [1, slots, dim]
 * @param time - f32 [1]
 */
export function leaveSlots(
  g: GraphBuilder,
  hidden: Value,
  { entered, time, grid }: { entered: Value; time: Value; grid: Grid },
  config: TransfusionConfig,
): Value {
  const { latentSize, layers, isChannelFirst, transformer } = config;
  const count = fixed(hidden.shape[0]);
  const flow = config.outputsClean ? towards(g, hidden, entered, time, config.cleanEps) : hidden;
  if (layers === undefined) {
    const weight = `model_to_latent_projs.0${isChannelFirst ? ".0" : ""}.weight`;
    // Shaped before, not behind: a captured loop does not repeat the copy that a last reshape would be.
    const square = reshape(g, flow, [count, ...grid, transformer.dim]);
    return linear(g, square, { weight, out: latentSize });
  }
  const [rows, columns] = slotGrid(config, grid);
  const square = reshape(g, flow, [count, rows, columns, transformer.dim]);
  const channels = latentLayers(g, transpose(g, square, [0, 3, 1, 2]), layers.decoder);
  return transpose(g, channels, [0, 2, 3, 1]);
}

/** The velocity that leads from what is there to what was told: in slots, not in latents, as in the library. */
function towards(g: GraphBuilder, clean: Value, there: Value, time: Value, eps: number): Value {
  const left = max(g, sub(g, g.scalar(1, "f32"), time), g.scalar(eps, "f32"));
  return div(g, sub(g, clean, there), cast(g, left, g.float));
}

/** pixels f32 [1, 3, height, width] in [-1, 1] -> the mean of their latents, f32 [rows, columns, numbers]. */
export function encoderGraph(
  config: TransfusionConfig,
  grid: Grid,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const g = new GraphBuilder({ name: "encoder", float: "f32", quantization, companion: "vae" });
  const side = pixelsPerPosition(config);
  const pixels = g.input("pixels", "f32", [1, 3, grid[0] * side, grid[1] * side]);
  const { mean } = vaeEncoder(g, pixels, config.vae);
  const shifted = sub(g, mean, g.scalar(config.vaeShiftFactor));
  const scaled = mul(g, shifted, g.scalar(config.vaeScalingFactor));
  const [rows, columns] = grid;
  const { patchSize, vae } = config;
  const cut = reshape(g, scaled, [vae.latentChannels, rows, patchSize, columns, patchSize]);
  const patches = transpose(g, cut, [1, 3, 2, 4, 0]); // rows and columns inside a patch, then channels
  g.output("latents", reshape(g, patches, [rows, columns, config.latentSize]));
  return g.build();
}

/** latents f32 [rows, columns, numbers] -> image f32 [1, 3, height, width], nominally in [-1, 1]. */
export function decoderGraph(
  config: TransfusionConfig,
  grid: Grid,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const g = new GraphBuilder({ name: "decoder", float: "f32", quantization, companion: "vae" });
  const [rows, columns] = grid;
  const { patchSize, vae, latentSize } = config;
  const latents = g.input("latents", "f32", [rows, columns, latentSize]);
  const cut = reshape(g, latents, [rows, columns, patchSize, patchSize, vae.latentChannels]);
  const planes = transpose(g, cut, [4, 0, 2, 1, 3]);
  const shape = [1, vae.latentChannels, rows * patchSize, columns * patchSize];
  const scaled = mul(g, reshape(g, planes, shape), g.scalar(1 / config.vaeScalingFactor));
  const shifted = add(g, scaled, g.scalar(config.vaeShiftFactor));
  g.output("image", vaeDecoder(g, shifted, vae));
  return g.build();
}
