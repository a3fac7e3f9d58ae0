// What the core sees of a picture: SigLIP tokens through the understanding projector.
import { siglipTower } from "../../graph/blocks/siglip.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { cast } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import { towerPatches } from "../siglip-config.ts";
import type { PiscesConfig } from "./config.ts";
import { projector } from "./projector.ts";

/** Embeddings of one picture: one for each patch. */
export function pictureSlots({ vision }: PiscesConfig): number {
  return towerPatches(vision);
}

/** pixels f32 [1, 3, size, size], normalised -> features [1, patches, hidden] for the core. */
export function visionGraph(config: PiscesConfig, options: GraphOptions): Graph {
  const { vision, language } = config;
  const g = new GraphBuilder({ name: "vision", ...options });
  const pixels = g.input("pixels", "f32", [1, 3, vision.imageSize, vision.imageSize]);
  const tokens = siglipTower(g, cast(g, pixels, g.float), vision); // [1, patches, width]
  const name = "understanding_projector";
  g.output("features", projector(g, tokens, { name, hiddenSize: language.hiddenSize }));
  return g.build();
}
