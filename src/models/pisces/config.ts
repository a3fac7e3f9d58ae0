// The config files of a Pisces checkpoint -> one checked configuration. The layout is ours: README.md.
import { fail } from "../../base/errors.ts";
import { MAX_STEPS } from "../../flow/schedule.ts";
import type { EulerDiscreteConfig } from "../../flow/euler-discrete.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import { TRANSFORMERS_TOWER, type SiglipConfig } from "../../graph/blocks/siglip.ts";
import type { UnetConfig } from "../../graph/blocks/unet.ts";
import type { Normalization } from "../../pixels/preprocess.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles } from "../family.ts";
import { readLlamaConfig } from "../llama-config.ts";
import { checkPictureSide, readNormalization } from "../preprocessor-config.ts";
import { checkedTower } from "../siglip-config.ts";
import { readVaeConfig, type ScaledVaeConfig } from "../vae-config.ts";
import { readUnetConfig } from "./unet-config.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_TOWER_WIDTH,
  MAX_TOWER_LAYERS,
  MAX_TOWER_HEADS,
  MAX_PATCH_SIDE,
  MAX_SEEN_SIDE,
  MAX_DRAWN_SIDE,
  drawnSide,
} from "../size-limits.ts";

/** Everything that Pisces' graphs and prompts depend on. */
export interface PiscesConfig extends Pick<ScaledVaeConfig, "vae" | "vaeScalingFactor"> {
  readonly language: LlamaConfig;
  readonly vision: SiglipConfig;
  readonly normalization: Normalization;
  /** Vectors of one drawn picture. */
  readonly vectors: number;
  readonly vectorSize: number;
  readonly unet: UnetConfig;
  readonly scheduler: EulerDiscreteConfig;
  /** Pixels of the side of a picture that nothing else is asked for. */
  readonly imageSize: number;
  /** Pixels for each latent. */
  readonly latentScale: number;
  readonly tags: ImageTags;
  /** Steps and guidance of a drawing that nothing else is asked for. */
  readonly steps: number;
  readonly guidance: number;
}

/** Tokens around a picture, as strings. */
export interface ImageTags {
  readonly start: string;
  readonly end: string;
}

const MAX_VECTORS = 4096;
const MAX_TRAIN_STEPS = 10_000;
const MAX_STEPS_OFFSET = 1000;

/** True for a config.json of Pisces. */
export function isPiscesConfig(configJson: unknown): boolean {
  return new ConfigReader(configJson, "config.json").text("model_type", "") === "pisces";
}

/**
 * The configuration of a Pisces checkpoint.
 *
 * @throws ModelError checkpoint-invalid when a file is missing, a value is absurd, or sizes do not go together
 * @throws ModelError unsupported-model when a file asks for what SDXL does not do
 */
export function parsePiscesConfig(files: CheckpointFiles): PiscesConfig {
  const config = new ConfigReader(files["config.json"], "config.json");
  const vision = readVision(config);
  const vectorSize = config.integer("image_vector_size", { max: MAX_WIDTH });
  const unet = new ConfigReader(files["unet/config.json"], "unet/config.json");
  const unetConfig = readUnetConfig(unet, vectorSize);
  const { vae, vaeScalingFactor } = readVaeConfig(
    new ConfigReader(files["vae/config.json"], "vae/config.json"),
  );
  if (vae.latentChannels !== unetConfig.latentChannels) {
    throw fail(
      "checkpoint-invalid",
      `The UNet has ${unetConfig.latentChannels} latent channels, the VAE ${vae.latentChannels}.`,
    );
  }
  const latentScale = 2 ** (vae.blockOutChannels.length - 1);
  return {
    language: readLlamaConfig(config.section("text_config"), "language_model."),
    vision,
    normalization: readProcessor(files["preprocessor_config.json"], vision),
    vectors: config.integer("num_image_vectors", { max: MAX_VECTORS, fallback: 64 }),
    vectorSize,
    unet: unetConfig,
    scheduler: readScheduler(files["scheduler/scheduler_config.json"]),
    vae,
    vaeScalingFactor,
    imageSize: drawnSide(
      unet.integer("sample_size", { max: MAX_DRAWN_SIDE, fallback: 128 }) * latentScale,
      "unet/config.json sample_size",
    ),
    latentScale,
    tags: {
      start: config.text("image_start_token", "<|reserved_special_token_0|>"),
      end: config.text("image_end_token", "<|reserved_special_token_1|>"),
    },
    // Emu2's numbers. https://github.com/baaivision/Emu/blob/main/Emu2/emu/diffusion.py
    steps: config.integer("num_inference_steps", { max: MAX_STEPS, fallback: 50 }),
    guidance: config.number("guidance_scale", { min: 0, max: 100, fallback: 3 }),
  };
}

// Absent sizes are those of SigLIP so400m patch14-384.
function readVision(config: ConfigReader): SiglipConfig {
  const vision = config.section("vision_config");
  const layers = vision.integer("num_hidden_layers", { max: MAX_TOWER_LAYERS, fallback: 27 });
  const selected = config.integer("vision_feature_layer", { min: -layers, max: -1, fallback: -1 });
  const width = vision.integer("hidden_size", { max: MAX_TOWER_WIDTH, fallback: 1152 });
  const inner = vision.integer("intermediate_size", { max: MAX_INNER_WIDTH, fallback: 4304 });
  const heads = vision.heads("num_attention_heads", width, { max: MAX_TOWER_HEADS, fallback: 16 });
  const imageSize = vision.integer("image_size", { max: MAX_SEEN_SIDE, fallback: 384 });
  const patchSize = vision.integer("patch_size", { max: MAX_PATCH_SIDE, fallback: 14 });
  const activation = vision.text("hidden_act", "gelu_pytorch_tanh");
  if (activation !== "gelu_pytorch_tanh" && activation !== "gelu") {
    throw fail("unsupported-model", `vision_config: hidden_act ${activation} is not supported.`);
  }
  return checkedTower({
    prefix: "vision_tower.vision_model.",
    names: TRANSFORMERS_TOWER,
    imageSize,
    patchSize,
    width,
    layers: layers + selected + 1,
    heads,
    // half a unit more, so that rounding width * ratio down gives the file's number
    mlpRatio: (inner + 0.5) / width,
    normEps: vision.number("layer_norm_eps", { min: 0, max: 1, fallback: 1e-6 }),
    activation: activation === "gelu" ? "gelu" : "gelu-tanh",
    hasFinalNorm: selected === -1,
  });
}

function readProcessor(json: unknown, { imageSize }: SiglipConfig): Normalization {
  const reader = new ConfigReader(json ?? {}, "preprocessor_config.json");
  checkPictureSide(reader, imageSize);
  return readNormalization(reader, { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
}

// Absent numbers are SDXL's.
function readScheduler(json: unknown): EulerDiscreteConfig {
  const reader = new ConfigReader(json ?? {}, "scheduler/scheduler_config.json");
  const fixed = {
    beta_schedule: "scaled_linear",
    prediction_type: "epsilon",
    timestep_spacing: "leading",
    interpolation_type: "linear",
  };
  for (const [key, only] of Object.entries(fixed)) {
    const value = reader.text(key, only);
    if (value === only) continue;
    throw fail("unsupported-model", `scheduler_config.json: ${key} ${value} is not supported.`);
  }
  if (reader.flag("use_karras_sigmas", false)) {
    throw fail("unsupported-model", "scheduler_config.json: Karras sigmas are not supported.");
  }
  const beta = { min: 1e-9, max: 0.999 };
  return {
    trainSteps: reader.integer("num_train_timesteps", { max: MAX_TRAIN_STEPS, fallback: 1000 }),
    betaStart: reader.number("beta_start", { ...beta, fallback: 0.00085 }),
    betaEnd: reader.number("beta_end", { ...beta, fallback: 0.012 }),
    stepsOffset: reader.integer("steps_offset", { min: 0, max: MAX_STEPS_OFFSET, fallback: 1 }),
  };
}
