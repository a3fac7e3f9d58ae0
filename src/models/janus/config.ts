// A Janus config.json, in the authors' layout or in transformers', -> one checked configuration.
import { fail } from "../../base/errors.ts";
import type { CodebookConfig } from "../../graph/blocks/codebook.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import type { SiglipConfig } from "../../graph/blocks/siglip.ts";
import type { VaeConfig } from "../../graph/blocks/vae.ts";
import type { PreprocessOptions } from "../../pixels/preprocess.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles } from "../family.ts";
import { readLlamaConfig } from "../llama-config.ts";
import { checkedTower, readPreprocess, readSiglipConfig } from "../siglip-config.ts";
import { checkedVae } from "../vae-config.ts";
import { ORIGINAL_NAMES, TRANSFORMERS_NAMES, type JanusNames } from "./names.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_CODES,
  MAX_TOWER_WIDTH,
  MAX_TOWER_LAYERS,
  MAX_TOWER_HEADS,
  MAX_PATCH_SIDE,
  MAX_SEEN_SIDE,
  MAX_CHANNELS,
  MAX_BLOCKS_PER_LEVEL,
} from "../size-limits.ts";

/** Strings of the processor that mark pictures in a prompt, and the padding of the unconditional row. */
export interface ImageTags {
  readonly image: string;
  readonly start: string;
  readonly end: string;
  readonly pad: string;
}

/** Everything that Janus's graphs and prompts depend on. */
export interface JanusConfig {
  readonly names: JanusNames;
  readonly language: LlamaConfig;
  readonly vision: SiglipConfig;
  readonly preprocess: PreprocessOptions;
  /** Linear layers of the aligner behind the tower, a GELU between them. */
  readonly alignerLayers: number;
  /** Linear layers between a code's embedding and the core. */
  readonly generationAlignerLayers: number;
  /** Width inside the head of codes. */
  readonly headWidth: number;
  readonly autoencoder: VaeConfig;
  readonly codebook: CodebookConfig;
  /** [rows, columns] of one picture's codes. */
  readonly grid: readonly [number, number];
  /** Pixels, of a picture that is seen and of one that is drawn. */
  readonly imageSize: number;
  readonly tags: ImageTags;
  /** Guidance of a drawing when nothing else is asked for. */
  readonly guidance: number;
}

/** Codes of one picture. */
export function codesPerPicture({ grid: [rows, columns] }: Pick<JanusConfig, "grid">): number {
  return rows * columns;
}

/** True for a config.json of Janus: the authors' with a VQ tokenizer of pictures, or transformers'. */
export function isJanusConfig(configJson: unknown): boolean {
  const config = new ConfigReader(configJson, "config.json");
  const type = config.text("model_type", "");
  if (type === "janus") return true;
  return (
    type === "multi_modality" && config.section("gen_vision_config").text("cls", "").includes("VQ")
  );
}

/**
 * The configuration of a Janus or Janus-Pro checkpoint.
 *
 * @throws ModelError checkpoint-invalid when a file is missing or a value is absurd
 * @throws ModelError unsupported-model when the architecture asks for what Janus's code does not do
 */
export function parseJanusConfig(files: CheckpointFiles): JanusConfig {
  const config = new ConfigReader(files["config.json"], "config.json");
  const isOriginal = config.text("model_type", "") !== "janus";
  const parts = isOriginal ? readOriginal(config) : readTransformers(config);
  const { imageSize } = parts.vision;
  const side = imageSize / 2 ** (parts.autoencoder.blockOutChannels.length - 1);
  if (!Number.isInteger(side)) {
    throw fail(
      "checkpoint-invalid",
      `A ${imageSize} px picture has no whole number of codes with ${parts.autoencoder.blockOutChannels.length} levels.`,
    );
  }
  return {
    ...parts,
    preprocess: readPreprocess(files["preprocessor_config.json"], imageSize),
    // The picture is as large as the pictures that the core sees: 384 for every published checkpoint, whose
    // scripts write 384 px and 24 x 24 codes as constants.
    grid: [side, side],
    imageSize,
    tags: readTags(files["processor_config.json"]),
    guidance: readGuidance(files["generation_config.json"]),
  };
}

type ArchitectureParts = Omit<
  JanusConfig,
  "preprocess" | "grid" | "imageSize" | "tags" | "guidance"
>;

function readOriginal(config: ConfigReader): ArchitectureParts {
  const names = ORIGINAL_NAMES;
  const params = (key: string): ConfigReader => config.section(key).section("params");
  const language = readLlamaConfig(config.section("language_config"), names.language.prefix);
  const vision = readSiglipConfig(params("vision_config"), names.vision.prefix);
  const picture = params("gen_vision_config");
  const base = picture.integer("ch", { max: MAX_CHANNELS, fallback: 128 });
  const sizes = {
    base,
    levels: picture.integers("ch_mult", { max: MAX_MULTIPLE, fallback: LEVELS }),
    blocks: picture.integer("num_res_blocks", { max: MAX_BLOCKS_PER_LEVEL, fallback: 2 }),
    inner: picture.integer("z_channels", { max: MAX_WIDTH, fallback: 256 }),
    width: picture.integer("n_embed", { max: MAX_WIDTH, fallback: 8 }),
    codes: picture.integer("image_token_size", { max: MAX_CODES, fallback: 16384 }),
  };
  return {
    names,
    language,
    vision,
    alignerLayers: readProjector(params("aligner_config"), vision.width, language),
    generationAlignerLayers: readProjector(params("gen_aligner_config"), sizes.width, language),
    headWidth: readHead(params("gen_head_config"), language, sizes.codes),
    ...readPictureTokenizer(sizes, names),
  };
}

function readTransformers(config: ConfigReader): ArchitectureParts {
  const names = TRANSFORMERS_NAMES;
  const language = {
    ...readLlamaConfig(config.section("text_config"), names.language.prefix),
    body: names.language.body,
  };
  const tower = config.section("vision_config");
  const picture = config.section("vq_config");
  const depth = { max: MAX_ALIGNER_LAYERS, fallback: 2 };
  const isUsual =
    !tower.flag("use_qk_norm", false) &&
    tower.flag("attention_bias", true) &&
    tower.text("hidden_act", "gelu") === "gelu" &&
    picture.text("hidden_act", "gelu") === "gelu" &&
    !picture.flag("double_latent", false);
  if (!isUsual) throw unusual("norms of queries, no biases, another activation or doubled latents");
  const sizes = {
    base: picture.integer("base_channels", { max: MAX_CHANNELS, fallback: 128 }),
    levels: picture.integers("channel_multiplier", { max: MAX_MULTIPLE, fallback: LEVELS }),
    blocks: picture.integer("num_res_blocks", { max: MAX_BLOCKS_PER_LEVEL, fallback: 2 }),
    inner: picture.integer("latent_channels", { max: MAX_WIDTH, fallback: 256 }),
    width: picture.integer("embed_dim", { max: MAX_WIDTH, fallback: 8 }),
    codes: picture.integer("num_embeddings", { max: MAX_CODES, fallback: 16384 }),
  };
  const width = tower.integer("hidden_size", { max: MAX_TOWER_WIDTH, fallback: 1024 });
  return {
    names,
    language,
    vision: checkedTower({
      ...names.vision,
      imageSize: tower.integer("image_size", { max: MAX_SEEN_SIDE, fallback: 384 }),
      patchSize: tower.integer("patch_size", { max: MAX_PATCH_SIDE, fallback: 16 }),
      width,
      layers: tower.integer("num_hidden_layers", { max: MAX_TOWER_LAYERS, fallback: 24 }),
      heads: tower.heads("num_attention_heads", width, { max: MAX_TOWER_HEADS, fallback: 16 }),
      mlpRatio: tower.number("mlp_ratio", { min: 0.1, max: 32, fallback: 4 }),
    }),
    alignerLayers: tower.integer("depth", depth),
    generationAlignerLayers: picture.integer("num_hidden_layers", depth),
    headWidth: readTransformersHead(picture, tower, language),
    ...readPictureTokenizer(sizes, names),
  };
}

/** Multiples of the base channels by level, the highest resolution first: LlamaGen's VQ-16. */
const LEVELS = [1, 1, 2, 2, 4];
const GROUPS = 32;
/** A level's channels over the first one's. */
const MAX_MULTIPLE = 64;
const MAX_ALIGNER_LAYERS = 16;

interface PictureTokenizerSizes {
  readonly base: number;
  readonly levels: readonly number[];
  readonly blocks: number;
  /** Channels between the quant convolutions and the networks. */
  readonly inner: number;
  /** Of a code's vector. */
  readonly width: number;
  readonly codes: number;
}

function readPictureTokenizer(
  { base, levels, blocks, inner, width, codes }: PictureTokenizerSizes,
  { autoencoder: { prefix, names } }: JanusNames,
): Pick<JanusConfig, "autoencoder" | "codebook"> {
  return {
    autoencoder: checkedVae(
      {
        blockOutChannels: levels.map((multiple) => base * multiple),
        layersPerBlock: blocks,
        normNumGroups: GROUPS,
        latentChannels: width,
        innerChannels: inner,
        useQuantConv: true,
        usePostQuantConv: true,
        midAttention: true,
        attentionLevels: [levels.length - 1],
        names,
        prefix,
      },
      "config.json",
    ),
    codebook: { weight: `${prefix}quantize.embedding.weight`, codes, width, isNormalized: true },
  };
}

// Absent keys are what every published checkpoint has: the reference wants all of them.
function readProjector(params: ConfigReader, from: number, { hiddenSize }: LlamaConfig): number {
  const type = params.text("projector_type", "mlp_gelu");
  const input = params.integer("input_dim", { max: MAX_INNER_WIDTH, fallback: from });
  const output = params.integer("n_embed", { max: MAX_INNER_WIDTH, fallback: hiddenSize });
  if (input !== from || output !== hiddenSize) {
    throw fail(
      "checkpoint-invalid",
      `config.json: an aligner leads from ${input} to ${output}, but its input has ${from} and the core ${hiddenSize}.`,
    );
  }
  if (type !== "mlp_gelu") throw unusual(`an aligner of type ${type}`);
  return params.integer("depth", { max: MAX_ALIGNER_LAYERS, fallback: 2 });
}

function readHead(params: ConfigReader, { hiddenSize }: LlamaConfig, codes: number): number {
  const size = (key: string, fallback: number) =>
    params.integer(key, { max: MAX_INNER_WIDTH, fallback });
  const [input, output] = [size("n_embed", hiddenSize), size("image_token_size", codes)];
  if (input === hiddenSize && output === codes) return size("image_token_embed", hiddenSize);
  throw fail(
    "checkpoint-invalid",
    `config.json: gen_head leads from ${input} to ${output}, but the core has ${hiddenSize} and there are ${codes} codes.`,
  );
}

// There the widths around the aligners and inside the head are all the core's, whatever their names say.
function readTransformersHead(
  picture: ConfigReader,
  tower: ConfigReader,
  { hiddenSize }: LlamaConfig,
): number {
  const width = { max: MAX_WIDTH, fallback: 2048 };
  const widths = [
    picture.integer("projection_dim", width),
    picture.integer("image_token_embed_dim", width),
    tower.integer("projection_dim", width),
  ];
  if (widths.every((other) => other === hiddenSize)) return hiddenSize;
  throw fail(
    "checkpoint-invalid",
    `config.json: projections are ${widths.join(", ")} wide, but the core ${hiddenSize}.`,
  );
}

function unusual(what: string): Error {
  return fail("unsupported-model", `This Janus has ${what}; no published one has.`);
}

function readTags(json: unknown): ImageTags {
  const reader = new ConfigReader(json ?? {}, "processor_config.json");
  return {
    image: reader.text("image_tag", "<image_placeholder>"),
    start: reader.text("image_start_tag", "<begin_of_image>"),
    end: reader.text("image_end_tag", "<end_of_image>"),
    pad: reader.text("pad_tag", "<｜▁pad▁｜>"),
  };
}

// Transformers writes it there; DeepSeek's scripts have 5 as a constant.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/generation_inference.py#L50
function readGuidance(json: unknown): number {
  const generation = new ConfigReader(json ?? {}, "generation_config.json");
  const rule = { min: 0, max: 100, fallback: 5 };
  return generation.section("generation_kwargs").number("guidance_scale", rule);
}
