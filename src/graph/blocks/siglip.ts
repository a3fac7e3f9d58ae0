// SigLIP's vision tower as timm has it: patches, learned positions, pre-norm blocks, a final norm. The
// attention-pool head of the checkpoint is never executed by the reference and has no place here.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/siglip_vit.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { multiHeadAttention } from "../ops/attention.ts";
import { convolution } from "../ops/convolution.ts";
import { add, gelu } from "../ops/elementwise.ts";
import { reshape, split, transpose } from "../ops/movement.ts";
import { biased, linear, plain } from "./linear.ts";
import { layerNorm } from "./norm.ts";

/** Sizes of a tower and the prefix of its checkpoint names. */
export interface SiglipConfig {
  readonly prefix: string;
  /** Pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly mlpRatio: number;
}

const EPS = 1e-6;

/** pixels [1, 3, size, size] -> tokens [1, patches, width]. */
export function siglipTower(g: GraphBuilder, pixels: Value, config: SiglipConfig): Value {
  const { prefix, patchSize, width, layers } = config;
  const patches = (config.imageSize / patchSize) ** 2;
  const kernel = plain(g, `${prefix}patch_embed.proj.weight`, [width, 3, patchSize, patchSize]);
  const bias = plain(g, `${prefix}patch_embed.proj.bias`, [width]);
  const grid = convolution(g, pixels, kernel, bias, { stride: patchSize });
  const tokens = transpose(g, reshape(g, grid, [1, width, patches]), [0, 2, 1]); // [1, patches, width]
  let x = add(g, tokens, plain(g, `${prefix}pos_embed`, [1, patches, width]));
  for (let layer = 0; layer < layers; layer++) {
    const name = `${prefix}blocks.${layer}.`;
    const normed = layerNorm(g, x, { name: `${name}norm1`, eps: EPS });
    x = add(g, x, selfAttention(g, normed, config, `${name}attn.`));
    const behind = layerNorm(g, x, { name: `${name}norm2`, eps: EPS });
    x = add(g, x, mlp(g, behind, config, `${name}mlp.`));
  }
  return layerNorm(g, x, { name: `${prefix}norm`, eps: EPS });
}

function selfAttention(g: GraphBuilder, x: Value, config: SiglipConfig, name: string): Value {
  const { width, heads } = config;
  const fused = linear(g, x, biased(`${name}qkv`, 3 * width));
  const [q, k, v] = split(g, fused, 3, 2);
  const attended = multiHeadAttention(
    g,
    { q: present(q, "q"), k: present(k, "k"), v: present(v, "v") },
    heads,
  );
  return linear(g, attended, biased(`${name}proj`, width));
}

function mlp(g: GraphBuilder, x: Value, { width, mlpRatio }: SiglipConfig, name: string): Value {
  const inner = Math.trunc(width * mlpRatio);
  const hidden = linear(g, x, biased(`${name}fc1`, inner));
  return linear(g, gelu(g, hidden), biased(`${name}fc2`, width));
}
