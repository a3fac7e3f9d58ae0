// Latents as tokens: one convolution over squares of latents, and where in the picture each square is.
// https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/model.py#L133-L153
import { plain } from "../../graph/blocks/linear.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { convolution } from "../../graph/ops/convolution.ts";
import { add } from "../../graph/ops/elementwise.ts";
import { cast, reshape, transpose } from "../../graph/ops/movement.ts";
import { imageSizes } from "../../graph/ops/sizes.ts";
import type { GraphOptions } from "../family.ts";
import type { OmniGenConfig } from "./config.ts";
import { gridPositions } from "./grid.ts";

/** What a picture is: the one that is drawn, or one of those that the prompt shows. */
export type PatchUse = "output" | "input";

/**
 * latents [1, channels, height, width] -> tokens [1, patches, hidden]. Declares the inputs `grid.columns` and
 * `grid.rows`.
 */
export function patchTokens(
  g: GraphBuilder,
  latents: Value,
  use: PatchUse,
  config: OmniGenConfig,
): Value {
  const { patchSize, language } = config;
  const name = use === "output" ? "x_embedder.proj" : "input_x_embedder.proj";
  const [, channels] = imageSizes(latents);
  const shape = [language.hiddenSize, channels, patchSize, patchSize];
  const kernel = plain(g, `${name}.weight`, shape);
  const bias = plain(g, `${name}.bias`, [language.hiddenSize]);
  const grid = convolution(g, latents, kernel, bias, { stride: patchSize });
  const [, hidden, rows, columns] = imageSizes(grid);
  const flat = reshape(g, grid, [1, hidden, rows * columns]);
  const tokens = transpose(g, flat, [0, 2, 1]); // [1, patches, hidden]
  return add(g, tokens, gridPositions(g, config, rows, columns));
}

/** latents f32 [1, channels, height, width] of a picture in the prompt -> features [1, patches, hidden]. */
export function pictureGraph(
  config: OmniGenConfig,
  [height, width]: readonly [number, number],
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "picture", ...options });
  const latents = g.input("latents", "f32", [1, config.vae.latentChannels, height, width]);
  g.output("features", patchTokens(g, cast(g, latents, g.float), "input", config));
  return g.build();
}
