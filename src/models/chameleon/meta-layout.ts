// Meta's own files: params.json with its names for the sizes, consolidated.pth with its names for the tensors,
// and a rotation of neighbours where transformers rotates halves. GAIR/Anole-7b-v0.1 is such a folder.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/loader.py
import { fail } from "../../base/errors.ts";
import type { WeightDeclaration } from "../../base/weight-declaration.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import { ConfigReader } from "../config-reader.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_HEADS,
  MAX_LAYERS,
  MAX_VOCABULARY,
  MAX_POSITIONS,
} from "../size-limits.ts";

/** Places of Meta's files. */
export const META_FILES = {
  params: "models/7b/params.json",
  core: "models/7b/consolidated.pth",
  tokenizer: "tokenizer/text_tokenizer.json",
  pictures: "tokenizer/vqgan.ckpt",
} as const;

// Options.max_seq_len of chameleon.py.
const CONTEXT = 4096;

/** True for a parsed params.json of a Chameleon. */
export function isMetaParams(json: unknown): boolean {
  const params = flattened(json);
  return "n_layers" in params && "qk_normalization" in params && !("model_type" in params);
}

/**
 * Sizes of the core.
 *
 * @throws ModelError checkpoint-invalid for absurd sizes, unsupported-model for a core in several parts
 */
export function readMetaLanguage(json: unknown): LlamaConfig {
  const config = new ConfigReader(flattened(json), META_FILES.params);
  refuseSwinNorm(config);
  if (config.integer("model_parallel_size", { max: 64, fallback: 1 }) > 1) {
    throw fail(
      "unsupported-model",
      "This Chameleon is stored in several parts; the 7B model is one.",
    );
  }
  const hiddenSize = config.integer("dim", { max: MAX_WIDTH });
  const heads = config.integer("n_heads", { max: MAX_HEADS });
  const kvHeads = config.integer("n_kv_heads", { max: MAX_HEADS, fallback: heads });
  const headDim = hiddenSize / heads;
  if (heads % kvHeads !== 0 || headDim % 2 !== 0) {
    throw fail(
      "checkpoint-invalid",
      `${META_FILES.params}: ${heads} heads of ${headDim} do not go with ${kvHeads} key/value heads.`,
    );
  }
  return {
    prefix: "",
    hiddenSize,
    layers: config.integer("n_layers", { max: MAX_LAYERS }),
    heads,
    kvHeads,
    headDim,
    intermediateSize: intermediateSize(config, hiddenSize),
    vocabularySize: config.integer("vocab_size", { max: MAX_VOCABULARY }),
    rmsNormEps: config.number("norm_eps", { min: 0, max: 1, fallback: 1e-5 }),
    ropeTheta: config.number("rope_theta", { min: 1, max: 1e12, fallback: 10000 }),
    maxPositions: config.integer("max_seq_len", { max: MAX_POSITIONS, fallback: CONTEXT }),
    interleaved: true,
  };
}

/** @throws ModelError unsupported-model for the 30B model's norms behind the blocks */
export function refuseSwinNorm(config: ConfigReader): void {
  if (!config.flag("swin_norm", false)) return;
  throw fail(
    "unsupported-model",
    "This Chameleon normalises behind its blocks (swin_norm, the 30B model); the 7B model is supported.",
  );
}

/** The weight under its name in transformers' files, and under Meta's. */
export function withMetaName(weight: WeightDeclaration): WeightDeclaration {
  return { ...weight, aliases: [...weight.aliases, metaName(weight.tensor)] };
}

const NAMES = [
  ["model.embed_tokens", "tok_embeddings"],
  ["lm_head", "output"],
  ["model.", ""],
  [".self_attn.q_proj", ".attention.wq"],
  [".self_attn.k_proj", ".attention.wk"],
  [".self_attn.v_proj", ".attention.wv"],
  [".self_attn.o_proj", ".attention.wo"],
  [".self_attn.q_norm", ".attention.q_normalization"],
  [".self_attn.k_norm", ".attention.k_normalization"],
  [".mlp.gate_proj", ".feed_forward.w1"],
  [".mlp.up_proj", ".feed_forward.w3"],
  [".mlp.down_proj", ".feed_forward.w2"],
  [".input_layernorm", ".attention_norm"],
  [".post_attention_layernorm", ".ffn_norm"],
] as const;

function metaName(tensor: string): string {
  return NAMES.reduce((name, [from, to]) => name.replace(from, to), tensor);
}

// FeedForward of transformer.py.
function intermediateSize(config: ConfigReader, hiddenSize: number): number {
  const multiple = config.integer("multiple_of", { max: MAX_INNER_WIDTH, fallback: 256 });
  const factor = config.has("ffn_dim_multiplier")
    ? config.number("ffn_dim_multiplier", { min: 0.01, max: 100 })
    : 1;
  const wanted = Math.trunc(factor * Math.trunc((8 * hiddenSize) / 3));
  return multiple * Math.ceil(wanted / multiple);
}

// The loader lays the sizes of `model` over the rest.
function flattened(json: unknown): Record<string, unknown> {
  const params = isObject(json) ? json : {};
  return isObject(params["model"]) ? { ...params, ...params["model"] } : params;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
