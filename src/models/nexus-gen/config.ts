// Nexus-Gen's config.json, preprocessor_config.json and the names of its tensors -> one checked configuration.
// What the authors' scripts write as constants has their values as defaults and may be set in a section
// `nexus_gen` of config.json (ours): tests are made of other sizes.
import { fail } from "../../base/errors.ts";
import { MAX_STEPS } from "../../flow/schedule.ts";
import type { FluxConfig } from "../../graph/blocks/flux-config.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import type { QwenVisionConfig } from "../../graph/blocks/qwen-vision.ts";
import { TAMING_NAMES } from "../../graph/blocks/vae-names.ts";
import type { VaeConfig } from "../../graph/blocks/vae.ts";
import type { Normalization } from "../../pixels/preprocess.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles, TensorNames } from "../family.ts";
import { checkedVae } from "../vae-config.ts";
import { readNormalization } from "../preprocessor-config.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_HEADS,
  MAX_LAYERS,
  MAX_VOCABULARY,
  MAX_POSITIONS,
  MAX_DRAWN_SIDE,
  MAX_CHANNELS,
  MAX_LATENT_CHANNELS,
  MAX_GROUPS,
  MAX_BLOCKS_PER_LEVEL,
} from "../size-limits.ts";
import { readSeen, readSourceGrid, readVision, type SeenSizes } from "./vision-config.ts";

/** Ids that the model's loops know. */
export interface TokenIds {
  readonly visionStart: number;
  readonly visionEnd: number;
  readonly imagePad: number;
  readonly stop: ReadonlySet<number>;
}

/** One diffusion transformer and what turns the core's embeddings into its context. */
export interface DecoderConfig {
  readonly flux: FluxConfig;
  /** What stands before `0.weight` (generation) or `layers.0...` (editing). */
  readonly adapterPrefix: string;
}

/** Everything that Nexus-Gen's graphs and prompts depend on. */
export interface NexusGenConfig {
  readonly language: LlamaConfig;
  /** Rotation frequencies of a head by axis: time, row, column. */
  readonly mropeSection: readonly number[];
  readonly vision: QwenVisionConfig;
  readonly normalization: Normalization;
  readonly seen: SeenSizes;
  readonly tokens: TokenIds;
  readonly repetitionPenalty: number;
  /** Embeddings of a drawn picture along a side: 9. */
  readonly grid: number;
  /** V2 learned what the core reads while it draws; V1 reads the image token's embedding again and again. */
  readonly hasPrefillTable: boolean;
  readonly generation: DecoderConfig;
  /** V2's decoder for edits, which sees the picture that is edited. */
  readonly editing?: DecoderConfig;
  /** Tokens of that picture along a side: 18. */
  readonly sourceGrid: number;
  /** Positions of the editing merger run to this number. */
  readonly mergerBaseGrid: number;
  /** The merger's inner width over its outer. */
  readonly mergerExpansion: number;
  readonly vae: VaeConfig;
  /** flow latents = (autoencoder latents - shift) * factor */
  readonly vaeScalingFactor: number;
  readonly vaeShiftFactor: number;
  /** Context tokens of the branch without a prompt: T5's padded length. */
  readonly negativeLength: number;
  /** Pixels of a picture when nothing else is asked for. */
  readonly width: number;
  readonly height: number;
  /** Steps of a picture, and guidance of one that is no edit, when nothing else is asked for. */
  readonly steps: number;
  readonly guidance: number;
}

// Qwen2VLImageProcessor's.
const CLIP_PIXELS: Pick<Normalization, "mean" | "std"> = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};
/** Embeddings of a drawn picture along a side. */
const MAX_EMBEDDING_GRID = 64;
const MAX_MERGER_GRID = 4096;
const MAX_MERGER_EXPANSION = 64;
const MAX_NEGATIVE_LENGTH = 4096;
const GENERATION = "generation_decoder/";
const EDITING = "edit_decoder/";
const V1_DECODER = "decoder_81_512/";
/** Tensors of the file with the encoded empty prompts. */
export const CONSTANTS = "constants/";

/** True for a config.json of Nexus-Gen: Qwen2.5-VL's with the keys that only its authors' class writes. */
export function isNexusGenConfig(configJson: unknown): boolean {
  const config = new ConfigReader(configJson, "config.json");
  return (
    config.text("model_type", "") === "qwen2_5_vl" &&
    config.has("vision_token_id") &&
    config
      .section("vision_config")
      .number("tokens_per_second", { min: 0, max: 100, fallback: 0 }) === 2
  );
}

/**
 * The configuration of a Nexus-Gen checkpoint.
 *
 * @throws ModelError checkpoint-invalid when a file is missing or a value is absurd
 * @throws ModelError unsupported-model for a plain Qwen2.5-VL or when the decoders' files are not there
 */
export function parseNexusGenConfig(files: CheckpointFiles, tensors: TensorNames): NexusGenConfig {
  const config = new ConfigReader(files["config.json"], "config.json");
  const own = config.section("nexus_gen");
  const isV1 = !tensors.has("image_prefill_embeds.weight");
  requireParts(tensors, isV1);
  const processor = new ConfigReader(
    files["preprocessor_config.json"] ?? {},
    "preprocessor_config.json",
  );
  const vision = readVision(config.section("vision_config"));
  const hasEditing = tensors.has(`${EDITING}pipe.dit.x_embedder.weight`);
  const decoder = own.section("decoder");
  return {
    ...readLanguage(config),
    vision,
    normalization: readNormalization(processor, CLIP_PIXELS),
    seen: readSeen(own, processor, vision, isV1),
    tokens: readTokens(config, files["generation_config.json"]),
    repetitionPenalty: new ConfigReader(
      files["generation_config.json"] ?? {},
      "generation_config.json",
    ).number("repetition_penalty", { min: 0.1, max: 10, fallback: 1.05 }),
    grid: own.integer("generation_grid", { max: MAX_EMBEDDING_GRID, fallback: 9 }),
    hasPrefillTable: !isV1,
    generation: isV1
      ? { flux: readFlux(decoder, V1_DECODER), adapterPrefix: V1_DECODER }
      : {
          flux: readFlux(decoder, `${GENERATION}pipe.dit.`),
          adapterPrefix: `${GENERATION}adapter.`,
        },
    ...(hasEditing && {
      editing: {
        flux: readFlux(decoder, `${EDITING}pipe.dit.`),
        adapterPrefix: `${EDITING}embedding_merger.`,
      },
    }),
    sourceGrid: readSourceGrid(own, vision),
    mergerBaseGrid: own.integer("merger_base_grid", { max: MAX_MERGER_GRID, fallback: 72 }),
    mergerExpansion: own.integer("merger_expansion", { max: MAX_MERGER_EXPANSION, fallback: 4 }),
    ...readVae(own.section("vae"), decoder),
    negativeLength: own.integer("negative_length", { max: MAX_NEGATIVE_LENGTH, fallback: 512 }),
    width: own.integer("width", { max: MAX_DRAWN_SIDE, fallback: 512 }),
    height: own.integer("height", { max: MAX_DRAWN_SIDE, fallback: 512 }),
    steps: own.integer("num_inference_steps", { max: MAX_STEPS, fallback: 50 }),
    guidance: own.number("guidance_scale", { min: 0, max: 100, fallback: 3 }),
  };
}

function requireParts(tensors: TensorNames, isV1: boolean): void {
  const decoder = isV1 ? V1_DECODER : `${GENERATION}pipe.dit.`;
  if (!tensors.has("vision_head.weight") || !tensors.has(`${decoder}x_embedder.weight`)) {
    throw fail(
      "unsupported-model",
      "This Qwen2.5-VL checkpoint is no Nexus-Gen: it has no vision_head, or neither generation_decoder.bin " +
        "(V2) nor decoder_81_512.bin (V1).",
    );
  }
  if (!tensors.has(`${CONSTANTS}pooled`) || !tensors.has(`${CONSTANTS}negative`)) {
    throw fail(
      "unsupported-model",
      "Nexus-Gen needs what FLUX's text encoders make of the empty prompt, in constants.safetensors beside " +
        "the model; src/models/nexus-gen/README.md says how to make it.",
    );
  }
}

function readLanguage(config: ConfigReader): Pick<NexusGenConfig, "language" | "mropeSection"> {
  const hiddenSize = config.integer("hidden_size", { max: MAX_WIDTH });
  const heads = config.integer("num_attention_heads", { max: MAX_HEADS });
  const kvHeads = config.integer("num_key_value_heads", { max: MAX_HEADS, fallback: heads });
  const headDim = hiddenSize / heads;
  const scaling = config.section("rope_scaling");
  const mropeSection = scaling.integers("mrope_section", {
    max: MAX_HEADS,
    fallback: [16, 24, 24],
  });
  const angles = mropeSection.reduce((sum, size) => sum + size, 0);
  if (heads % kvHeads !== 0 || mropeSection.length !== 3 || angles * 2 !== headDim) {
    throw fail(
      "checkpoint-invalid",
      `config.json: ${heads} heads of ${headDim} go neither with ${kvHeads} key/value heads nor with ` +
        `mrope_section ${mropeSection.join(", ")}.`,
    );
  }
  const isPlain =
    ["default", "mrope"].includes(scaling.text("rope_type", scaling.text("type", "default"))) &&
    config.text("hidden_act", "silu") === "silu" &&
    !config.flag("use_sliding_window", false) &&
    !config.flag("tie_word_embeddings", false);
  if (!isPlain) {
    throw fail(
      "unsupported-model",
      "This Qwen2.5-VL core uses scaled rope, a sliding window, tied embeddings or an activation other than silu.",
    );
  }
  const language: LlamaConfig = {
    prefix: "",
    hiddenSize,
    layers: config.integer("num_hidden_layers", { max: MAX_LAYERS }),
    heads,
    kvHeads,
    headDim,
    intermediateSize: config.integer("intermediate_size", { max: MAX_INNER_WIDTH }),
    vocabularySize: config.integer("vocab_size", { max: MAX_VOCABULARY, fallback: 152064 }),
    rmsNormEps: config.number("rms_norm_eps", { min: 0, max: 1, fallback: 1e-5 }),
    ropeTheta: config.number("rope_theta", { min: 1, max: 1e12, fallback: 1e6 }),
    maxPositions: config.integer("max_position_embeddings", {
      max: MAX_POSITIONS,
      fallback: 32768,
    }),
    qkvBias: true,
  };
  return { language, mropeSection };
}

function readTokens(config: ConfigReader, generationJson: unknown): TokenIds {
  const id = (key: string, fallback: number): number =>
    config.integer(key, { max: MAX_VOCABULARY, fallback });
  const generation = new ConfigReader(generationJson ?? {}, "generation_config.json");
  const end = id("eos_token_id", 151645);
  const stop = generation.has("eos_token_id")
    ? generation.integers("eos_token_id", { max: MAX_VOCABULARY })
    : [end, id("bos_token_id", 151643)];
  return {
    visionStart: id("vision_start_token_id", 151652),
    visionEnd: id("vision_end_token_id", 151653),
    imagePad: id("image_token_id", 151655),
    stop: new Set(stop),
  };
}

function readFlux(decoder: ConfigReader, prefix: string): FluxConfig {
  const flux = {
    prefix,
    hiddenSize: decoder.integer("hidden_size", { max: MAX_WIDTH, fallback: 3072 }),
    heads: decoder.integer("heads", { max: MAX_HEADS, fallback: 24 }),
    layers: decoder.integer("layers", { max: MAX_LAYERS, fallback: 19 }),
    singleLayers: decoder.integer("single_layers", { max: MAX_LAYERS, fallback: 38 }),
    contextSize: decoder.integer("context_size", { max: MAX_WIDTH, fallback: 4096 }),
    pooledSize: decoder.integer("pooled_size", { max: MAX_WIDTH, fallback: 768 }),
    latentChannels: decoder.integer("latent_channels", { max: MAX_LATENT_CHANNELS, fallback: 16 }),
    axesDims: decoder.integers("axes_dims", { max: MAX_HEADS, fallback: [16, 56, 56] }),
  };
  const headDim = flux.axesDims.reduce((sum, size) => sum + size, 0);
  if (headDim * flux.heads !== flux.hiddenSize || flux.axesDims.some((size) => size % 2 !== 0)) {
    throw fail(
      "checkpoint-invalid",
      `config.json nexus_gen decoder: ${flux.heads} heads with axes ${flux.axesDims.join(", ")} are not ` +
        `${flux.hiddenSize} wide.`,
    );
  }
  return flux;
}

function readVae(
  vae: ConfigReader,
  decoder: ConfigReader,
): Pick<NexusGenConfig, "vae" | "vaeScalingFactor" | "vaeShiftFactor"> {
  return {
    vae: checkedVae(
      {
        blockOutChannels: vae.integers("block_out_channels", {
          max: MAX_CHANNELS,
          fallback: [128, 256, 512, 512],
        }),
        layersPerBlock: vae.integer("layers_per_block", { max: MAX_BLOCKS_PER_LEVEL, fallback: 2 }),
        normNumGroups: vae.integer("norm_num_groups", { max: MAX_GROUPS, fallback: 32 }),
        latentChannels: decoder.integer("latent_channels", {
          max: MAX_LATENT_CHANNELS,
          fallback: 16,
        }),
        useQuantConv: false,
        usePostQuantConv: false,
        midAttention: true,
        names: TAMING_NAMES,
      },
      "config.json nexus_gen vae",
    ),
    vaeScalingFactor: vae.number("scaling_factor", { min: 1e-6, max: 1e6, fallback: 0.3611 }),
    vaeShiftFactor: vae.number("shift_factor", { min: -1e6, max: 1e6, fallback: 0.1159 }),
  };
}
