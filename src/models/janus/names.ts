// What the two published layouts of a Janus checkpoint call its parts: the authors' own, and the one that
// transformers saves (deepseek-community/Janus-Pro-1B and -7B).
// https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/janus/convert_janus_weights_to_hf.py#L47
import {
  TIMM_NAMES,
  TRANSFORMERS_JANUS_TOWER,
  type SiglipNames,
} from "../../graph/blocks/siglip.ts";
import {
  JANUS_NAMES,
  TRANSFORMERS_JANUS_NAMES,
  type AutoencoderNames,
} from "../../graph/blocks/vae-names.ts";

/** Names of one layout. Names of layers have neither `.weight` nor `.bias`. */
export interface JanusNames {
  readonly vision: { readonly prefix: string; readonly names: SiglipNames };
  /** What stands before the core's layers. */
  readonly language: { readonly prefix: string; readonly body: string };
  /** Name of an aligner's n-th linear layer. */
  aligner(layer: number): string;
  generationAligner(layer: number): string;
  /** The table of a code's embedding for the core: not the codebook. */
  readonly generationEmbedding: string;
  /** The two layers of the head that gives logits of codes. */
  readonly generationHead: readonly [string, string];
  readonly autoencoder: { readonly prefix: string; readonly names: AutoencoderNames };
}

/** deepseek-ai/Janus-1.3B, Janus-Pro-1B, Janus-Pro-7B. */
export const ORIGINAL_NAMES: JanusNames = {
  vision: { prefix: "vision_model.vision_tower.", names: TIMM_NAMES },
  language: { prefix: "language_model.", body: "model." },
  // torch.nn.Sequential counts the activations between the layers.
  aligner: (layer) => `aligner.layers.${2 * layer}`,
  generationAligner: (layer) => `gen_aligner.layers.${2 * layer}`,
  generationEmbedding: "gen_embed.weight",
  generationHead: ["gen_head.output_mlp_projector", "gen_head.vision_head"],
  autoencoder: { prefix: "gen_vision_model.", names: JANUS_NAMES },
};

/** What transformers saves. */
export const TRANSFORMERS_NAMES: JanusNames = {
  vision: { prefix: "model.vision_model.", names: TRANSFORMERS_JANUS_TOWER },
  language: { prefix: "", body: "model.language_model." },
  aligner: (layer) => `model.aligner.${hiddenLayer(layer)}`,
  generationAligner: (layer) => `model.generation_aligner.${hiddenLayer(layer)}`,
  generationEmbedding: "model.generation_embeddings.weight",
  generationHead: ["model.generation_head.proj_out", "model.generation_head.vision_head"],
  autoencoder: { prefix: "model.vqmodel.", names: TRANSFORMERS_JANUS_NAMES },
};

function hiddenLayer(layer: number): string {
  return layer === 0 ? "fc1" : `hidden_layers.${layer - 1}`;
}
