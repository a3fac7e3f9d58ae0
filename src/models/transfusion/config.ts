// A Transfusion's config.json (the arguments of transfusion-pytorch's constructors) and its VAE's config.json
// -> one checked configuration. The file is ours: the library itself writes none.
// https://github.com/lucidrains/transfusion-pytorch/blob/3dab4c2/transfusion_pytorch/transfusion.py
import { fail } from "../../base/errors.ts";
import { MAX_STEPS } from "../../flow/schedule.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles } from "../family.ts";
import { readVaeConfig, type ScaledVaeConfig } from "../vae-config.ts";
import { readLatentLayers, type LatentLayers } from "./latent-layers.ts";
import {
  MAX_WIDTH,
  MAX_HEADS,
  MAX_LAYERS,
  MAX_VOCABULARY,
  MAX_POSITIONS,
  MAX_DRAWN_SIDE,
  drawnSide,
} from "../size-limits.ts";

/** Sizes and switches of the transformer. */
export interface TransformerConfig {
  readonly dim: number;
  readonly depth: number;
  readonly headDim: number;
  readonly heads: number;
  /** Width of the feed-forward's inside. */
  readonly innerSize: number;
  /** Long skips from the first half of the layers to the second. */
  readonly unetSkips: boolean;
  readonly qkRmsNorm: boolean;
  /** Values are mixed with those of the first layer. */
  readonly useValueResidual: boolean;
  /** Attention over exponentials of the values. */
  readonly attentionLaser: boolean;
  readonly laserSoftclamp: number;
  /** Scores are softcap * tanh(score / softcap). */
  readonly softcap: number;
  /** Each head's output is weighed by a sigmoid of the input. */
  readonly gateValues: boolean;
}

/** Everything that the graphs and prompts depend on. */
export interface TransfusionConfig extends ScaledVaeConfig {
  readonly transformer: TransformerConfig;
  /** Ids below this are the tokenizer's; the model's own follow. */
  readonly textTokens: number;
  /** Numbers of one latent position. */
  readonly latentSize: number;
  /** [rows, columns] of latent positions when nothing else is asked for. */
  readonly defaultGrid: readonly [number, number];
  /** Pixels of the autoencoder's latents that make one position, squared: `patch_size`. */
  readonly patchSize: number;
  readonly isChannelFirst: boolean;
  readonly addPositions: boolean;
  /** Latents -> the transformer's slots and back; absent: one linear layer each. */
  readonly layers?: LatentLayers;
  /** The network tells clean latents, of which the velocity is made. */
  readonly outputsClean: boolean;
  /** Least 1 - t that the difference to clean latents is divided by. */
  readonly cleanEps: number;
  readonly solver: "midpoint" | "euler";
  /** Slots of a context: the library's samplers stop at 2048. */
  readonly maxLength: number;
  readonly sampling: TransfusionSampling;
}

/** What pictures are drawn with when nothing else is asked for. */
export interface TransfusionSampling {
  /** Of the solver. */
  readonly steps: number;
  /** Behind text alone. */
  readonly guidance: number;
  /** Behind pictures. */
  readonly editingGuidance: number;
}

/** Latents along a side of one position. */
const MAX_PATCH = 64;

/** True for a config.json of this family. */
export function isTransfusionConfig(configJson: unknown): boolean {
  return new ConfigReader(configJson, "config.json").text("model_type", "") === "transfusion";
}

/**
 * The configuration of a Transfusion.
 *
 * @throws ModelError checkpoint-invalid when a file is missing or a value is absurd
 * @throws ModelError unsupported-model for several modalities, modalities that are no pictures, other solvers
 */
export function parseTransfusionConfig(files: CheckpointFiles): TransfusionConfig {
  const config = new ConfigReader(files["config.json"], "config.json");
  const vae = readVaeConfig(new ConfigReader(files["vae/config.json"], "vae/config.json"));
  const transformer = readTransformer(config.section("transformer"));
  const patchSize = config.integer("patch_size", { max: MAX_PATCH, fallback: 1 });
  const latentSize = readLatentSize(files["config.json"], config, transformer.dim);
  const isChannelFirst = config.flag("channel_first_latent", false);
  if (latentSize !== vae.vae.latentChannels * patchSize ** 2) {
    throw fail(
      "checkpoint-invalid",
      `dim_latent is ${latentSize}; ${patchSize} x ${patchSize} positions of the VAE's ` +
        `${vae.vae.latentChannels} channels are ${vae.vae.latentChannels * patchSize ** 2} numbers.`,
    );
  }
  const layers = readLatentLayers(files["config.json"], {
    latentSize,
    dim: transformer.dim,
    isChannelFirst,
  });
  const defaultGrid = readGrid(config);
  const pixels = patchSize * 2 ** (vae.vae.blockOutChannels.length - 1);
  for (const side of defaultGrid) drawnSide(side * pixels, "config.json modality_default_shape");
  return {
    ...vae,
    transformer,
    textTokens: config.integer("num_text_tokens", { max: MAX_VOCABULARY }),
    latentSize,
    defaultGrid,
    patchSize,
    isChannelFirst,
    addPositions: config.flag("add_pos_emb", false),
    ...(layers === undefined ? {} : { layers }),
    outputsClean: config.flag("model_output_clean", false),
    cleanEps: config.number("eps", { min: 1e-9, max: 1, fallback: 1e-2 }),
    solver: readSolver(config.section("odeint_kwargs")),
    maxLength: config.integer("max_length", { max: MAX_POSITIONS, fallback: 2048 }),
    sampling: readSampling(config.section("sampling")),
  };
}

// What is not said is the library's own: 15 steps between 16 times, guidance 3.
function readSampling(config: ConfigReader): TransfusionSampling {
  const guidance = config.number("guidance", { min: 0, max: 100, fallback: 3 });
  return {
    steps: config.integer("steps", { max: MAX_STEPS, fallback: 15 }),
    guidance,
    editingGuidance: config.number("editing_guidance", { min: 0, max: 100, fallback: guidance }),
  };
}

function readTransformer(config: ConfigReader): TransformerConfig {
  const attention = config.section("attn_kwargs");
  const dim = config.integer("dim", { max: MAX_WIDTH });
  const headDim = config.integer("dim_head", { max: MAX_HEADS, fallback: 64 });
  if (dim % 2 !== 0 || headDim % 2 !== 0) {
    throw fail(
      "checkpoint-invalid",
      `transformer: dim ${dim} and dim_head ${headDim} must be even.`,
    );
  }
  const expansion = config.number("ff_expansion_factor", { min: 0.1, max: 64, fallback: 4 });
  return {
    dim,
    depth: config.integer("depth", { max: MAX_LAYERS }),
    headDim,
    heads: config.integer("heads", { max: MAX_HEADS, fallback: 8 }),
    innerSize: Math.trunc((dim * expansion * 2) / 3),
    unetSkips: config.flag("unet_skips", true),
    qkRmsNorm: config.flag("qk_rmsnorm", true),
    useValueResidual: config.flag("use_value_residual", false),
    attentionLaser: config.flag("attn_laser", false),
    laserSoftclamp: attention.number("laser_softclamp_value", { min: 1, max: 60, fallback: 15 }),
    softcap: attention.number("softcap_value", { min: 1e-3, max: 1e6, fallback: 50 }),
    gateValues: attention.flag("gate_values", true),
  };
}

function readLatentSize(json: unknown, config: ConfigReader, fallback: number): number {
  const { dim_latent: asked } = json as Readonly<Record<string, unknown>>;
  if (Array.isArray(asked) && asked.length !== 1) {
    throw fail(
      "unsupported-model",
      `This Transfusion has ${asked.length} modalities beside text; one, pictures, is supported.`,
    );
  }
  if (Array.isArray(asked)) return config.integers("dim_latent", { max: MAX_WIDTH })[0] ?? fallback;
  return config.integer("dim_latent", { max: MAX_WIDTH, fallback });
}

function readGrid(config: ConfigReader): [number, number] {
  const grid = config.integers("modality_default_shape", { max: MAX_DRAWN_SIDE });
  const [rows, columns] = grid;
  if (rows === undefined || columns === undefined || grid.length !== 2) {
    throw fail(
      "unsupported-model",
      `modality_default_shape has ${grid.length} dimensions; pictures, with two, are supported.`,
    );
  }
  return [rows, columns];
}

function readSolver(config: ConfigReader): TransfusionConfig["solver"] {
  const method = config.text("method", "midpoint");
  if (method === "midpoint" || method === "euler") return method;
  throw fail("unsupported-model", `odeint_kwargs: method "${method}" is not midpoint or euler.`);
}
