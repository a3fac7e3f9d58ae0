// SigLIP's vision tower: patches, learned positions, pre-norm blocks, a final norm. The
// attention-pool head of the checkpoint is never executed by the reference and has no place here.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/siglip_vit.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { multiHeadAttention } from "../ops/attention.ts";
import { convolution } from "../ops/convolution.ts";
import { add, gelu, geluTanh } from "../ops/elementwise.ts";
import { reshape, split, transpose } from "../ops/movement.ts";
import { biased, linear, plain } from "./linear.ts";
import { layerNorm } from "./norm.ts";

/** What a code base calls the parts of a tower. `#` stands for the number of a block. */
export interface SiglipNames {
  readonly patches: string;
  readonly positions: string;
  readonly block: string;
  /** Norms before attention and before the MLP. */
  readonly norms: readonly [string, string];
  /** Query, key and value: one weight with the three below each other, or three. */
  readonly qkv: string | readonly [string, string, string];
  readonly projection: string;
  readonly finalNorm: string;
}

/** timm, as Janus and JanusFlow have it. */
export const TIMM_NAMES: SiglipNames = {
  patches: "patch_embed.proj",
  positions: "pos_embed",
  block: "blocks.#.",
  norms: ["norm1", "norm2"],
  qkv: "attn.qkv",
  projection: "attn.proj",
  finalNorm: "norm",
};

/**
 * Janus as transformers stores it.
 *
 * @see https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/janus/modeling_janus.py
 */
export const TRANSFORMERS_JANUS_TOWER: SiglipNames = {
  patches: "embeddings.patch_embedding",
  positions: "embeddings.position_embedding.weight",
  block: "encoder.layers.#.",
  norms: ["layer_norm1", "layer_norm2"],
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  projection: "self_attn.projection_layer",
  finalNorm: "post_layernorm",
};

/** SiglipVisionModel of transformers, as its files have it behind `vision_model.`. */
export const TRANSFORMERS_TOWER: SiglipNames = {
  ...TRANSFORMERS_JANUS_TOWER,
  projection: "self_attn.out_proj",
};

/** Sizes of a tower and the prefix of its checkpoint names. */
export interface SiglipConfig {
  readonly prefix: string;
  /** Default timm's. */
  readonly names?: SiglipNames;
  /** Pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlpRatio: number;
  /** Default 1e-6. */
  readonly normEps?: number;
  /** Default the exact GELU. */
  readonly activation?: "gelu" | "gelu-tanh";
  /** False where the reference takes an earlier layer as it is. Default true. */
  readonly hasFinalNorm?: boolean;
}

const DEFAULT_EPS = 1e-6;

/** pixels [1, 3, size, size] -> tokens [1, patches, width]. */
export function siglipTower(g: GraphBuilder, pixels: Value, config: SiglipConfig): Value {
  const {
    prefix,
    names = TIMM_NAMES,
    patchSize,
    width,
    layers,
    normEps: eps = DEFAULT_EPS,
  } = config;
  // Pixels that no patch covers are left out: 384 px in patches of 14 are 27 x 27.
  const patches = Math.floor(config.imageSize / patchSize) ** 2;
  const kernelShape = [width, 3, patchSize, patchSize];
  const kernel = plain(g, `${prefix}${names.patches}.weight`, kernelShape);
  const bias = plain(g, `${prefix}${names.patches}.bias`, [width]);
  const grid = convolution(g, pixels, kernel, bias, { stride: patchSize });
  const tokens = transpose(g, reshape(g, grid, [1, width, patches]), [0, 2, 1]); // [1, patches, width]
  let x = add(g, tokens, plain(g, `${prefix}${names.positions}`, [1, patches, width]));
  for (let layer = 0; layer < layers; layer++) {
    const name = `${prefix}${names.block.replace("#", String(layer))}`;
    const [before, behind] = names.norms;
    const normed = layerNorm(g, x, { name: `${name}${before}`, eps });
    x = add(g, x, selfAttention(g, normed, config, name));
    const seen = layerNorm(g, x, { name: `${name}${behind}`, eps });
    x = add(g, x, mlp(g, seen, config, `${name}mlp.`));
  }
  if (config.hasFinalNorm === false) return x;
  return layerNorm(g, x, { name: `${prefix}${names.finalNorm}`, eps });
}

function selfAttention(g: GraphBuilder, x: Value, config: SiglipConfig, name: string): Value {
  const { names = TIMM_NAMES, width, heads } = config;
  const { qkv, projection } = names;
  const [q, k, v] =
    typeof qkv === "string"
      ? split(g, linear(g, x, biased(`${name}${qkv}`, 3 * width)), 3, 2)
      : qkv.map((part) => linear(g, x, biased(`${name}${part}`, width)));
  const attended = multiHeadAttention(
    g,
    { q: present(q, "q"), k: present(k, "k"), v: present(v, "v") },
    heads,
  );
  return linear(g, attended, biased(`${name}${projection}`, width));
}

function mlp(g: GraphBuilder, x: Value, config: SiglipConfig, name: string): Value {
  const { width, mlpRatio, activation = "gelu" } = config;
  const inner = Math.trunc(width * mlpRatio);
  const hidden = linear(g, x, biased(`${name}fc1`, inner));
  const active = activation === "gelu" ? gelu(g, hidden) : geluTanh(g, hidden);
  return linear(g, active, biased(`${name}fc2`, width));
}
