// Latents -> picture: the SDXL VAE's decoder. Always computed in f32: the reference warns that this VAE
// does not work in fp16 (it overflows).
import { vaeDecoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/elementwise.ts";
import type { GraphOptions } from "../family.ts";
import type { JanusFlowConfig } from "./config.ts";

/** latents f32 [1, channels, height, width] -> image f32 [1, 3, 8 height, 8 width], nominally in [-1, 1]. */
export function decoderGraph(
  config: JanusFlowConfig,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const g = new GraphBuilder({ name: "decoder", float: "f32", quantization, companion: "vae" });
  const latents = g.input("latents", "f32", [1, ...config.latentShape]);
  const scaled = mul(g, latents, g.scalar(1 / config.vaeScalingFactor));
  g.output("image", vaeDecoder(g, scaled, config.vae));
  return g.build();
}
