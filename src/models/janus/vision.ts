// What the core sees of a picture: SigLIP tokens behind an aligner.
import { siglipTower } from "../../graph/blocks/siglip.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { cast } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import { towerPatches } from "../siglip-config.ts";
import { aligner } from "./aligner.ts";
import type { JanusConfig } from "./config.ts";

/** Embeddings of one picture: one for each patch. */
export function pictureSlots({ vision }: JanusConfig): number {
  return towerPatches(vision);
}

/**
 * pixels f32 [1, 3, size, size], normalised -> features [1, patches, hidden] for the core.
 *
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/modeling_vlm.py#L216-L258
 */
export function visionGraph(config: JanusConfig, options: GraphOptions): Graph {
  const { vision, language, names, alignerLayers } = config;
  const g = new GraphBuilder({ name: "vision", ...options });
  const pixels = g.input("pixels", "f32", [1, 3, vision.imageSize, vision.imageSize]);
  const tokens = siglipTower(g, cast(g, pixels, g.float), vision); // [1, patches, width]
  const layers = Array.from({ length: alignerLayers }, (_, layer) => names.aligner(layer));
  g.output("features", aligner(g, tokens, layers, language.hiddenSize));
  return g.build();
}
