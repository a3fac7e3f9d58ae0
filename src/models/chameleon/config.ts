// Chameleon's config.json -> one checked configuration: the core, the picture tokenizer, and which ids are
// what. Whether the weights that draw are there is told by the tensors alone.
import { fail } from "../../base/errors.ts";
import type { CodebookConfig } from "../../graph/blocks/codebook.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import { TAMING_NAMES } from "../../graph/blocks/vae-names.ts";
import type { VaeConfig } from "../../graph/blocks/vae.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles, TensorNames } from "../family.ts";
import { readLlamaConfig } from "../llama-config.ts";
import { checkedVae } from "../vae-config.ts";
import { readGeneration, type ChameleonGeneration } from "./generation.ts";
import { isMetaParams, readMetaLanguage, refuseSwinNorm } from "./meta-layout.ts";
import { readVocabulary, type ChameleonVocabulary } from "./vocabulary.ts";
import {
  MAX_WIDTH,
  MAX_CODES,
  MAX_SEEN_SIDE,
  MAX_CHANNELS,
  MAX_BLOCKS_PER_LEVEL,
} from "../size-limits.ts";

/** Everything that Chameleon's graphs and prompts depend on. */
export interface ChameleonConfig {
  readonly language: LlamaConfig;
  /** Encoder and decoder between pixels and code vectors. */
  readonly vq: VaeConfig;
  readonly codebook: CodebookConfig;
  /** Pixels of a picture's side, in and out. */
  readonly imageSize: number;
  /** [height, width] of a picture's codes. */
  readonly grid: readonly [number, number];
  readonly vocabulary: ChameleonVocabulary;
  /** Heads share one norm of queries and one of keys; in transformers' files each head has its own. */
  readonly hasSharedHeadNorms: boolean;
  /** False where the decoder of pictures was not published. */
  readonly canDraw: boolean;
  readonly generation: ChameleonGeneration;
}

const VQ_PREFIX = "model.vqmodel.";
const GROUPS = 32;
/** A level's channels over the first one's. */
const MAX_MULTIPLE = 64;
const DECODER_TENSORS = ["post_quant_conv.weight", "decoder.conv_in.weight"];

// What transformers' ChameleonConfig has where a file is silent and LlamaConfig says something else.
const DEFAULTS = { vocab_size: 65536, max_position_embeddings: 4096, rms_norm_eps: 1e-5 };

/** True for a config.json of Chameleon as transformers writes it, and for Meta's params.json. */
export function isChameleonConfig(configJson: unknown): boolean {
  const type = new ConfigReader(configJson, "config.json").text("model_type", "");
  return type === "chameleon" || isMetaParams(configJson);
}

/**
 * The configuration of a Chameleon checkpoint.
 *
 * @throws ModelError checkpoint-invalid when a file is missing or a value is absurd
 * @throws ModelError unsupported-model for Chameleon-30B's norms behind the blocks, and for what no Chameleon has
 */
export function parseChameleonConfig(
  files: CheckpointFiles,
  tensors: TensorNames,
): ChameleonConfig {
  const json = files["config.json"];
  const config = new ConfigReader(json, "config.json");
  const isMeta = isMetaParams(json);
  const language = isMeta ? readMetaLanguage(json) : readLanguage(config, json);
  const names = config.has("vocabulary_map")
    ? config.section("vocabulary_map")
    : new ConfigReader(files["tokenizer.json"], "tokenizer.json").section("model").section("vocab");
  const vocabulary = readVocabulary(names, language.vocabularySize);
  const { imageSize, ...picture } = readVq(config.section("vq_config"));
  if (vocabulary.codeIds.length !== picture.codebook.codes) {
    throw fail(
      "checkpoint-invalid",
      `The vocabulary names ${vocabulary.codeIds.length} picture codes, the codebook has ${picture.codebook.codes}.`,
    );
  }
  const side = imageSize / 2 ** (picture.vq.blockOutChannels.length - 1);
  if (!Number.isInteger(side)) {
    throw fail(
      "checkpoint-invalid",
      `A ${imageSize} px picture has no whole number of codes a side.`,
    );
  }
  const canDraw = DECODER_TENSORS.every((name) => tensors.has(`${VQ_PREFIX}${name}`));
  return {
    language,
    ...picture,
    imageSize,
    grid: [side, side],
    vocabulary,
    hasSharedHeadNorms: isMeta,
    canDraw,
    generation: readGeneration(files["generation_config.json"]),
  };
}

function readLanguage(config: ConfigReader, json: unknown): LlamaConfig {
  refuseSwinNorm(config);
  const complete = { ...DEFAULTS, ...(json as object) };
  return readLlamaConfig(new ConfigReader(complete, "config.json"), "");
}

/** Tokens of one picture, without the marks around it. */
export function codesPerPicture({ grid: [height, width] }: Pick<ChameleonConfig, "grid">): number {
  return height * width;
}

// Where no file says otherwise (Meta's are YAML), the published sizes.
// https://github.com/huggingface/transformers/blob/v5.0.0/src/transformers/models/chameleon/configuration_chameleon.py
function readVq(config: ConfigReader): Pick<ChameleonConfig, "vq" | "codebook" | "imageSize"> {
  const imageSize = config.integer("resolution", { max: MAX_SEEN_SIDE, fallback: 512 });
  const base = config.integer("base_channels", { max: MAX_CHANNELS, fallback: 128 });
  const multipliers = config.integers("channel_multiplier", {
    max: MAX_MULTIPLE,
    fallback: [1, 1, 2, 2, 4],
  });
  const attended = config.integers("attn_resolutions", { max: MAX_SEEN_SIDE, fallback: [] });
  if (
    config.flag("double_latent", false) ||
    config.integer("in_channels", { max: 64, fallback: 3 }) !== 3
  ) {
    throw fail(
      "unsupported-model",
      "This picture tokenizer widens its first level, doubles its latents or reads other than 3 channels; Chameleon's does not.",
    );
  }
  const width = config.integer("embed_dim", { max: MAX_WIDTH, fallback: 256 });
  return {
    imageSize,
    codebook: {
      weight: `${VQ_PREFIX}quantize.embedding.weight`,
      codes: config.integer("num_embeddings", { max: MAX_CODES, fallback: 8192 }),
      width,
      isNormalized: false,
    },
    vq: checkedVae(
      {
        blockOutChannels: multipliers.map((multiplier) => base * multiplier),
        layersPerBlock: config.integer("num_res_blocks", {
          max: MAX_BLOCKS_PER_LEVEL,
          fallback: 2,
        }),
        normNumGroups: GROUPS,
        latentChannels: width,
        innerChannels: config.integer("latent_channels", { max: MAX_WIDTH, fallback: 256 }),
        useQuantConv: true,
        usePostQuantConv: true,
        midAttention: config.text("attn_type", "vanilla") === "vanilla",
        attentionLevels: [...multipliers.keys()].filter((level) =>
          attended.includes(imageSize / 2 ** level),
        ),
        names: TAMING_NAMES,
        prefix: VQ_PREFIX,
      },
      "config.json vq_config",
    ),
  };
}
