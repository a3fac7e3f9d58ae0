// A Hugging Face LlamaConfig -> the sizes of the core. Absent keys are the library's defaults, which some
// published checkpoints rely on (Janus-Pro-7B names five keys only).
import { fail } from "../base/errors.ts";
import type { LlamaConfig } from "../graph/blocks/llama.ts";
import type { ConfigReader } from "./config-reader.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_HEADS,
  MAX_LAYERS,
  MAX_VOCABULARY,
  MAX_POSITIONS,
} from "./size-limits.ts";

/**
 * Sizes of a LLaMA core.
 *
 * @param prefix - what stands before `model.layers...` in the checkpoint's names
 * @throws ModelError checkpoint-invalid for absurd sizes, unsupported-model for rope scaled by another rule than LLaMA-3's, biases or another activation
 * @see https://github.com/huggingface/transformers/blob/v4.38.0/src/transformers/models/llama/configuration_llama.py
 */
export function readLlamaConfig(config: ConfigReader, prefix: string): LlamaConfig {
  refuseUnsupported(config);
  const hiddenSize = config.integer("hidden_size", { max: MAX_WIDTH, fallback: 4096 });
  const heads = config.integer("num_attention_heads", { max: MAX_HEADS, fallback: 32 });
  const kvHeads = config.integer("num_key_value_heads", { max: MAX_HEADS, fallback: heads });
  const headDim = config.integer("head_dim", { max: MAX_HEADS, fallback: hiddenSize / heads });
  if (heads % kvHeads !== 0 || headDim % 2 !== 0) {
    throw fail(
      "checkpoint-invalid",
      `language_config: ${heads} heads of ${headDim} do not go with ${kvHeads} key/value heads.`,
    );
  }
  return {
    prefix,
    hiddenSize,
    layers: config.integer("num_hidden_layers", { max: MAX_LAYERS, fallback: 32 }),
    heads,
    kvHeads,
    headDim,
    intermediateSize: config.integer("intermediate_size", {
      max: MAX_INNER_WIDTH,
      fallback: 11008,
    }),
    vocabularySize: config.integer("vocab_size", { max: MAX_VOCABULARY, fallback: 32000 }),
    rmsNormEps: config.number("rms_norm_eps", { min: 0, max: 1, fallback: 1e-6 }),
    ropeTheta: readRopeTheta(config),
    ...readRopeScaling(config),
    maxPositions: config.integer("max_position_embeddings", { max: MAX_POSITIONS, fallback: 2048 }),
  };
}

// transformers 5 writes rope_parameters; before it was rope_theta beside an optional rope_scaling.
function readRopeTheta(config: ConfigReader): number {
  const rule = { min: 1, max: 1e12, fallback: 10000 };
  const fromParameters = config.section("rope_parameters").number("rope_theta", rule);
  return config.number("rope_theta", { ...rule, fallback: fromParameters });
}

/** The section that tells how frequencies are scaled; empty where they are not. */
function ropeSection(config: ConfigReader): ConfigReader {
  return config.section(config.has("rope_scaling") ? "rope_scaling" : "rope_parameters");
}

function ropeType(config: ConfigReader): string {
  const section = ropeSection(config);
  const older = section.text("type", config.has("rope_scaling") ? "unnamed" : "default");
  return section.text("rope_type", older);
}

// LLaMA-3.1's numbers are the defaults.
function readRopeScaling(config: ConfigReader): Pick<LlamaConfig, "ropeScaling"> {
  if (ropeType(config) !== "llama3") return {};
  const section = ropeSection(config);
  const factor = { min: 1e-3, max: 1e6 };
  const originalPositions = section.integer("original_max_position_embeddings", {
    max: MAX_POSITIONS,
    fallback: 8192,
  });
  return {
    ropeScaling: {
      factor: section.number("factor", { ...factor, fallback: 8 }),
      slowTurns: section.number("low_freq_factor", { ...factor, fallback: 1 }),
      fastTurns: section.number("high_freq_factor", { ...factor, fallback: 4 }),
      originalPositions,
    },
  };
}

function refuseUnsupported(config: ConfigReader): void {
  const isScaled = !["default", "llama3"].includes(ropeType(config));
  const activation = config.text("hidden_act", "silu");
  const hasBias = config.flag("attention_bias", false) || config.flag("mlp_bias", false);
  if (isScaled || activation !== "silu" || hasBias || config.flag("tie_word_embeddings", false)) {
    throw fail(
      "unsupported-model",
      "This LLaMA core uses rope scaled by another rule than llama3's, biases, tied embeddings or an activation other than silu; " +
        `none of these is supported for this family (hidden_act is ${activation}).`,
    );
  }
}
