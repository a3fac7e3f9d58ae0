// Qwen2.5-VL's vision tower: patches of any picture, attention inside windows in most blocks, gated MLPs, and
// four neighbouring patches merged to one token. Patches come in window order, so that a window is a run of
// slots; tokens leave in raster order.
// https://github.com/huggingface/transformers/blob/v4.49.0/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { multiHeadAttention, rotaryEmbedding } from "../ops/attention.ts";
import { add, gelu, mul, silu } from "../ops/elementwise.ts";
import { cast, gatherRows, reshape, split } from "../ops/movement.ts";
import { biased, linear } from "./linear.ts";
import { rmsNorm } from "./norm.ts";

/** Sizes of a tower and the prefix of its checkpoint names. */
export interface QwenVisionConfig {
  readonly prefix: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  /** Pixels. */
  readonly patchSize: number;
  /** Frames of one patch; a still picture is that many equal ones. */
  readonly temporalPatchSize: number;
  /** Patches of one token along a side. */
  readonly mergeSize: number;
  /** Pixels. */
  readonly windowSize: number;
  /** Blocks that attend over the whole picture. */
  readonly fullAttention: readonly number[];
  /** Width of the tokens. */
  readonly outSize: number;
}

const EPS = 1e-6;
const CHANNELS = 3;

/** Numbers of one patch: channel, frame, row, column. */
export function patchFeatures({ patchSize, temporalPatchSize }: QwenVisionConfig): number {
  return CHANNELS * temporalPatchSize * patchSize ** 2;
}

/**
 * Patches f32 [1, patches, features] in window order -> tokens [1, tokens, out size] in raster order.
 *
 * Declares the inputs `rope.cos`, `rope.sin` [patches, head size / 2], `positions` i64 [1, patches] (0, 1,
 * ...), `windows` f32 [1, 1, patches, patches] (added to the scores of the windowed blocks) and `order` i32
 * [tokens] (slot of every token's patches, counted in tokens).
 */
export function qwenVision(
  g: GraphBuilder,
  patches: Value,
  count: number,
  config: QwenVisionConfig,
): Value {
  const { prefix, width, heads, mergeSize, outSize } = config;
  const half = width / heads / 2;
  const tokens = count / mergeSize ** 2;
  const tables = {
    cos: g.input("rope.cos", g.float, [count, half]),
    sin: g.input("rope.sin", g.float, [count, half]),
  };
  const positions = g.input("positions", "i64", [1, count]);
  const windows = cast(g, g.input("windows", "f32", [1, 1, count, count]), g.float);
  const order = g.input("order", "i32", [tokens]);
  const rotate = (x: Value): Value => rotaryEmbedding(g, x, positions, tables, heads);

  const { patchSize, temporalPatchSize } = config;
  let x = linear(g, cast(g, patches, g.float), {
    weight: `${prefix}patch_embed.proj.weight`,
    out: width,
    sourceShape: [width, CHANNELS, temporalPatchSize, patchSize, patchSize],
  });
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `${prefix}blocks.${layer}.`;
    const normed = rmsNorm(g, x, { weight: `${name}norm1.weight`, eps: EPS });
    const [q, k, v] = split(g, linear(g, normed, biased(`${name}attn.qkv`, 3 * width)), 3, 2);
    const inputs = {
      q: rotate(present(q, "q")),
      k: rotate(present(k, "k")),
      v: present(v, "v"),
      ...(config.fullAttention.includes(layer) ? {} : { bias: windows }),
    };
    const attended = multiHeadAttention(g, inputs, heads);
    x = add(g, x, linear(g, attended, biased(`${name}attn.proj`, width)));
    const behind = rmsNorm(g, x, { weight: `${name}norm2.weight`, eps: EPS });
    x = add(g, x, gatedMlp(g, behind, config, `${name}mlp.`));
  }
  const merged = width * mergeSize ** 2;
  const normed = rmsNorm(g, x, { weight: `${prefix}merger.ln_q.weight`, eps: EPS });
  const grouped = reshape(g, normed, [tokens, merged]);
  const inner = gelu(g, linear(g, grouped, biased(`${prefix}merger.mlp.0`, merged)));
  const out = linear(g, inner, biased(`${prefix}merger.mlp.2`, outSize));
  return reshape(g, gatherRows(g, out, order), [1, tokens, outSize]);
}

function gatedMlp(g: GraphBuilder, x: Value, config: QwenVisionConfig, name: string): Value {
  const gate = linear(g, x, biased(`${name}gate_proj`, config.intermediateSize));
  const up = linear(g, x, biased(`${name}up_proj`, config.intermediateSize));
  return linear(g, mul(g, silu(g, gate), up), biased(`${name}down_proj`, config.width));
}
