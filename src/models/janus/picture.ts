// Codes -> picture: the decoder of the VQ-GAN. Always computed in f32: it is a small part of a drawing, and the
// reference leaves bf16 for its upsampling too.
import { codeVectors } from "../../graph/blocks/codebook.ts";
import { vaeDecoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { reshape } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import { codesPerPicture, type JanusConfig } from "./config.ts";

/** ids i32 [codes], row by row -> image f32 [1, 3, size, size], nominally in [-1, 1]. */
export function pictureGraph(
  config: JanusConfig,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const { autoencoder, codebook, grid } = config;
  const g = new GraphBuilder({ name: "picture", float: "f32", quantization });
  const ids = g.input("ids", "i32", [codesPerPicture(config)]);
  const codes = reshape(g, ids, [1, codesPerPicture(config)]);
  g.output("image", vaeDecoder(g, codeVectors(g, codes, grid, codebook), autoencoder));
  return g.build();
}
