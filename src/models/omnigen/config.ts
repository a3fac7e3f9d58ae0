// OmniGen's config.json (a Phi-3 with scaled rope, or diffusers' transformer) and its VAE's -> one checked
// configuration.
import { fail } from "../../base/errors.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import type { VaeConfig } from "../../graph/blocks/vae.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles, TensorNames } from "../family.ts";
import { readVaeConfig } from "../vae-config.ts";
import type { LongRope } from "./rope.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_HEADS,
  MAX_LAYERS,
  MAX_VOCABULARY,
  MAX_POSITIONS,
  MAX_DRAWN_SIDE,
  drawnSide,
} from "../size-limits.ts";

/** Everything that OmniGen's graphs and prompts depend on. */
export interface OmniGenConfig {
  readonly language: LlamaConfig;
  readonly rope: LongRope;
  /** Latents of one token: a square of this many. */
  readonly patchSize: number;
  /** Side of the table of patch positions; pictures have at most as many tokens in a row. */
  readonly gridSize: number;
  /** Side of a picture when nothing else is asked for, in pixels. */
  readonly defaultSize: number;
  /** Sinusoids of a time. */
  readonly timeWidth: number;
  readonly vae: VaeConfig;
  readonly vaeScalingFactor: number;
  readonly vaeShiftFactor: number;
  /** Pixels on one side of a token. */
  readonly tokenPixels: number;
  /** What the checkpoint's tensors are called. */
  readonly names: "authors" | "diffusers";
}

const DIFFUSERS_CLASS = "OmniGenTransformer2DModel";
const DIFFUSERS_PIPELINE = "OmniGenPipeline";

// Constants of the authors' constructor, which their config.json does not have (keys of ours and diffusers').
// https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/model.py#L156-L164
const PATCH_SIZE = 2;
const GRID_SIZE = 192;
// Latents, 1024 pixels: `default_sample_size` of diffusers' pipeline. The key is ours, called as in the configs
// of diffusers' other models.
const SAMPLE_SIZE = 128;
const TIME_WIDTH = 256;
/** Latents along a side of a token, and the pixels that they stand for: pictures are grown to one token at least. */
const MAX_PATCH = 16;
const MAX_TOKEN_PIXELS = 64;
const MAX_GRID = 4096;
const MAX_TIME_WIDTH = 8192;

/** True for a Phi-3 (the authors' repository) and for diffusers' pipeline and transformer of these names. */
export function isOmniGenConfig(configJson: unknown): boolean {
  const config = new ConfigReader(configJson, "config.json");
  const isPhi3 = config.text("model_type", "") === "phi3" && config.has("rope_scaling");
  return isPhi3 || [DIFFUSERS_CLASS, DIFFUSERS_PIPELINE].includes(config.text("_class_name", ""));
}

/**
 * The configuration of an OmniGen checkpoint.
 *
 * @throws ModelError checkpoint-invalid when a file is missing or a value is absurd
 * @throws ModelError unsupported-model when the architecture asks for what OmniGen's code does not do
 */
export function parseOmniGenConfig(files: CheckpointFiles, tensors: TensorNames): OmniGenConfig {
  const config = new ConfigReader(files["config.json"], "config.json");
  const keys = config.text("_class_name", "") === DIFFUSERS_CLASS ? DIFFUSERS_KEYS : PHI3_KEYS;
  const language = readLanguage(config, keys);
  const scaled = readVaeConfig(new ConfigReader(files["vae/config.json"], "vae/config.json"));
  const patchSize = config.integer("patch_size", { max: MAX_PATCH, fallback: PATCH_SIZE });
  const latentPixels = 2 ** (scaled.vae.blockOutChannels.length - 1);
  const tokenPixels = patchSize * latentPixels;
  if (tokenPixels > MAX_TOKEN_PIXELS) {
    throw config.wrong("patch_size", `at most ${MAX_TOKEN_PIXELS / latentPixels} with this VAE`);
  }
  const sample = config.integer("sample_size", { max: MAX_DRAWN_SIDE, fallback: SAMPLE_SIZE });
  return {
    language,
    rope: readRope(config, language),
    patchSize,
    gridSize: config.integer("pos_embed_max_size", { max: MAX_GRID, fallback: GRID_SIZE }),
    defaultSize: drawnSide(latentPixels * sample, "config.json sample_size"),
    timeWidth: config.integer("time_step_dim", { max: MAX_TIME_WIDTH, fallback: TIME_WIDTH }),
    ...scaled,
    tokenPixels,
    names: tensors.has("llm.norm.weight") || !tensors.has("norm.weight") ? "authors" : "diffusers",
  };
}

interface Keys {
  readonly layers: string;
  readonly ropeTheta: string;
}

const PHI3_KEYS: Keys = { layers: "num_hidden_layers", ropeTheta: "rope_theta" };
const DIFFUSERS_KEYS: Keys = { layers: "num_layers", ropeTheta: "rope_base" };

// Absent keys: what both references would take, the published model's.
function readLanguage(config: ConfigReader, keys: Keys): LlamaConfig {
  refuseUnsupported(config);
  const hiddenSize = config.integer("hidden_size", { max: MAX_WIDTH, fallback: 3072 });
  const heads = config.integer("num_attention_heads", { max: MAX_HEADS, fallback: 32 });
  const kvHeads = config.integer("num_key_value_heads", { max: MAX_HEADS, fallback: heads });
  const headDim = hiddenSize / heads;
  if (heads % kvHeads !== 0 || headDim % 2 !== 0 || hiddenSize % 4 !== 0) {
    throw fail(
      "checkpoint-invalid",
      `config.json: ${heads} heads in ${hiddenSize} do not go with ${kvHeads} key/value heads.`,
    );
  }
  return {
    prefix: "llm.",
    body: "",
    hiddenSize,
    layers: config.integer(keys.layers, { max: MAX_LAYERS, fallback: 32 }),
    heads,
    kvHeads,
    headDim,
    intermediateSize: config.integer("intermediate_size", { max: MAX_INNER_WIDTH, fallback: 8192 }),
    vocabularySize: config.integer("vocab_size", { max: MAX_VOCABULARY, fallback: 32064 }),
    rmsNormEps: config.number("rms_norm_eps", { min: 0, max: 1, fallback: 1e-5 }),
    ropeTheta: config.number(keys.ropeTheta, { min: 1, max: 1e12, fallback: 10000 }),
    maxPositions: config.integer("max_position_embeddings", {
      max: MAX_POSITIONS,
      fallback: 131072,
    }),
    fusedProjections: true,
  };
}

function readRope(
  config: ConfigReader,
  { headDim, maxPositions, ropeTheta }: LlamaConfig,
): LongRope {
  const scaling = config.section("rope_scaling");
  const none = Array<number>(headDim / 2).fill(Number.NaN);
  const [short, long] = ["short_factor", "long_factor"].map((key) => scaling.numbers(key, none));
  const originalPositions = config.integer("original_max_position_embeddings", {
    max: MAX_POSITIONS,
    fallback: 4096,
  });
  return {
    headDim,
    ropeTheta,
    maxPositions,
    originalPositions,
    short: short ?? [],
    long: long ?? [],
  };
}

function refuseUnsupported(config: ConfigReader): void {
  const scaling = config.section("rope_scaling");
  const type = scaling.text("type", scaling.text("rope_type", "su"));
  const activation = config.text("hidden_act", "silu");
  const hasBias = config.flag("attention_bias", false);
  if (!["su", "longrope"].includes(type) || activation !== "silu" || hasBias) {
    throw fail(
      "unsupported-model",
      `This Phi-3 has rope scaling "${type}", activation "${activation}" or biases; OmniGen's has ` +
        `"su" or "longrope", "silu" and none.`,
    );
  }
}
