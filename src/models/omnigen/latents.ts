// Pictures <-> latents: the SDXL autoencoder, always in f32: it overflows in f16.
import { vaeDecoder, vaeEncoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { add, mul, sub } from "../../graph/ops/elementwise.ts";
import type { GraphOptions } from "../family.ts";
import type { OmniGenConfig } from "./config.ts";

/** [height, width] in latents. */
export type LatentSize = readonly [height: number, width: number];

/**
 * pixels f32 [1, 3, 8 height, 8 width] in [-1, 1] -> latents f32 [1, channels, height, width].
 *
 * Differs from the reference: it draws a sample of the posterior, this is its mean. The same picture gives the
 * same latents every time, and the spread is far below what the flow resolves.
 */
export function encoderGraph(
  config: OmniGenConfig,
  [height, width]: LatentSize,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const { vae, vaeScalingFactor, vaeShiftFactor } = config;
  const g = new GraphBuilder({ name: "encoder", float: "f32", quantization, companion: "vae" });
  const scale = 2 ** (vae.blockOutChannels.length - 1);
  const pixels = g.input("pixels", "f32", [1, 3, height * scale, width * scale]);
  const { mean } = vaeEncoder(g, pixels, vae);
  const centered = vaeShiftFactor === 0 ? mean : sub(g, mean, g.scalar(vaeShiftFactor));
  g.output("latents", mul(g, centered, g.scalar(vaeScalingFactor)));
  return g.build();
}

/** latents f32 [1, channels, height, width] -> image f32 [1, 3, 8 height, 8 width], nominally in [-1, 1]. */
export function decoderGraph(
  config: OmniGenConfig,
  [height, width]: LatentSize,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const { vae, vaeScalingFactor, vaeShiftFactor } = config;
  const g = new GraphBuilder({ name: "decoder", float: "f32", quantization, companion: "vae" });
  const latents = g.input("latents", "f32", [1, vae.latentChannels, height, width]);
  const scaled = mul(g, latents, g.scalar(1 / vaeScalingFactor));
  const shifted = vaeShiftFactor === 0 ? scaled : add(g, scaled, g.scalar(vaeShiftFactor));
  g.output("image", vaeDecoder(g, shifted, vae));
  return g.build();
}
