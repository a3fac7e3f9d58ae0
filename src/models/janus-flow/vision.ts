// What the core sees of a picture: SigLIP tokens, one linear aligner, and a learned first embedding.
import { linear } from "../../graph/blocks/linear.ts";
import { siglipTower } from "../../graph/blocks/siglip.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { cast, concat, reshape } from "../../graph/ops/movement.ts";
import { present } from "../../base/assert.ts";
import type { GraphOptions } from "../family.ts";
import { towerPatches } from "../siglip-config.ts";
import type { JanusFlowConfig } from "./config.ts";

/** Embeddings of one picture: a learned begin-of-understanding and one per patch. */
export function pictureSlots({ vision }: JanusFlowConfig): number {
  return 1 + towerPatches(vision);
}

/**
 * pixels f32 [1, 3, size, size], normalised -> features [1, 1 + patches, hidden] for the core.
 *
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/modeling_vlm.py#L169-L219
 */
export function visionGraph(config: JanusFlowConfig, options: GraphOptions): Graph {
  const { vision, language } = config;
  const g = new GraphBuilder({ name: "vision", ...options });
  const pixels = g.input("pixels", "f32", [1, 3, vision.imageSize, vision.imageSize]);
  const tokens = siglipTower(g, cast(g, pixels, g.float), vision); // [1, patches, width]
  const aligned = linear(g, tokens, {
    weight: "vision_und_enc_aligner.weight",
    bias: "vision_und_enc_aligner.bias",
    out: language.hiddenSize,
  }); // [1, patches, hidden]
  const [learned] = g.weight({
    tensor: "beg_of_und_embed",
    shape: [1, language.hiddenSize],
    use: "plain",
  });
  const begin = reshape(g, present(learned, "beg_of_und_embed"), [1, 1, language.hiddenSize]);
  g.output("features", concat(g, [begin, aligned], 1)); // [1, 1 + patches, hidden]
  return g.build();
}
