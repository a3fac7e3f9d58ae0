// The same weights under diffusers' names (Shitao/OmniGen-v1-diffusers): graphs speak the authors' names, and
// what is fetched is renamed. The fused projection of the authors is three tensors there.
// https://github.com/huggingface/diffusers/blob/v0.33.1/scripts/convert_omnigen_to_diffusers.py
import { assert } from "../../base/assert.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { OmniGenConfig } from "./config.ts";

// In order: input_x_embedder holds x_embedder.
const RENAMED: readonly (readonly [from: string, to: string])[] = [
  ["llm.", ""],
  ["input_x_embedder.proj", "patch_embedding.input_image_proj"],
  ["x_embedder.proj", "patch_embedding.output_image_proj"],
  ["mlp.0.", "linear_1."],
  ["mlp.2.", "linear_2."],
  ["final_layer.adaLN_modulation.1", "norm_out.linear"],
  ["final_layer.linear", "proj_out"],
  ["self_attn.o_proj", "self_attn.to_out.0"],
];
const FUSED = "self_attn.qkv_proj";

/** The declaration as this checkpoint's files have it; its key stays what graphs bind. */
export function declarationFor(
  weight: WeightDeclaration,
  config: OmniGenConfig,
): WeightDeclaration {
  if (config.names === "authors" || weight.companion !== "") return weight;
  const renamed = RENAMED.reduce((name, [from, to]) => name.replace(from, to), weight.tensor);
  if (!renamed.includes(FUSED)) return { ...weight, tensor: renamed };
  const { rows, ...rest } = weight;
  assert(rows !== undefined, `${weight.tensor} is bound in parts`);
  const tensor = renamed.replace(FUSED, `self_attn.to_${partAt(config, rows[0])}`);
  return { ...rest, tensor, sourceShape: weight.shape };
}

function partAt({ language }: OmniGenConfig, row: number): "q" | "k" | "v" {
  const queries = language.heads * language.headDim;
  if (row < queries) return "q";
  return row < queries + language.kvHeads * language.headDim ? "k" : "v";
}
