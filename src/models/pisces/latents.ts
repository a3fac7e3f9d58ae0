// Latents -> picture: the SDXL VAE's decoder. Always computed in f32: this VAE overflows in f16.
import { vaeDecoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/elementwise.ts";
import type { GraphOptions } from "../family.ts";
import type { PiscesConfig } from "./config.ts";
import { latentShape, type FieldSize } from "./velocity.ts";

/** latents f32 [1, channels, h, w] -> image f32 [1, 3, height, width], nominally in [-1, 1]. */
export function decoderGraph(
  config: PiscesConfig,
  size: Pick<FieldSize, "width" | "height">,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const g = new GraphBuilder({ name: "decoder", float: "f32", quantization, companion: "vae" });
  const latents = g.input("latents", "f32", [1, ...latentShape(config, size)]);
  const scaled = mul(g, latents, g.scalar(1 / config.vaeScalingFactor));
  g.output("image", vaeDecoder(g, scaled, config.vae));
  return g.build();
}
