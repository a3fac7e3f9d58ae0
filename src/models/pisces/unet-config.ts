// The config.json of a diffusers UNet2DConditionModel of SDXL's kind -> its sizes.
import { present } from "../../base/assert.ts";
import { fail } from "../../base/errors.ts";
import type { UnetConfig } from "../../graph/blocks/unet.ts";
import type { ConfigReader } from "../config-reader.ts";
import {
  MAX_INNER_WIDTH,
  MAX_HEADS,
  MAX_CHANNELS,
  MAX_LATENT_CHANNELS,
  MAX_GROUPS,
  MAX_BLOCKS_PER_LEVEL,
} from "../size-limits.ts";

/** What stands before the UNet's names in the table of tensors. */
export const UNET_PREFIX = "unet.";

const TIME_IDS = 6;
const MAX_TIME_WIDTH = 4096;
/** Transformer layers of one level: SDXL has 10. */
const MAX_LEVEL_TRANSFORMERS = 32;

/**
 * Sizes of a UNet that looks at vectors and at their mean.
 *
 * @param vectorSize - width of the vectors
 * @throws ModelError checkpoint-invalid when sizes do not go together
 * @throws ModelError unsupported-model when it is not of SDXL's kind
 */
export function readUnetConfig(unet: ConfigReader, vectorSize: number): UnetConfig {
  refuseUnsupported(unet);
  const blockOutChannels = unet.integers("block_out_channels", {
    max: MAX_CHANNELS,
    fallback: [320, 640, 1280],
  });
  const levels = blockOutChannels.length;
  const latentChannels = unet.integer("in_channels", { max: MAX_LATENT_CHANNELS, fallback: 4 });
  const timeIdWidth = unet.integer("addition_time_embed_dim", {
    max: MAX_TIME_WIDTH,
    fallback: 256,
  });
  const wanted = { cross_attention_dim: vectorSize, out_channels: latentChannels };
  const added = { projection_class_embeddings_input_dim: vectorSize + TIME_IDS * timeIdWidth };
  for (const [key, value] of Object.entries({ ...wanted, ...added })) {
    const found = unet.integer(key, { max: MAX_INNER_WIDTH, fallback: value });
    if (found === value) continue;
    throw fail(
      "checkpoint-invalid",
      `unet/config.json: ${key} is ${found}; with vectors of ${vectorSize} it must be ${value}.`,
    );
  }
  const normNumGroups = unet.integer("norm_num_groups", { max: MAX_GROUPS, fallback: 32 });
  // Named after the heads' size, it is their number. https://github.com/huggingface/diffusers/issues/2011
  const heads = unet.perLevel("attention_head_dim", { max: MAX_HEADS, count: levels, fallback: 8 });
  const divides = (size: number, level: number): boolean =>
    size % normNumGroups === 0 && size % present(heads[level], "heads") === 0;
  if (!blockOutChannels.every(divides)) {
    throw fail("checkpoint-invalid", "unet/config.json: groups or heads do not divide channels.");
  }
  return {
    prefix: UNET_PREFIX,
    latentChannels,
    blockOutChannels,
    layersPerBlock: unet.integer("layers_per_block", { max: MAX_BLOCKS_PER_LEVEL, fallback: 2 }),
    transformerLayers: readTransformerLayers(unet, levels),
    heads,
    contextSize: vectorSize,
    timeIdWidth,
    normNumGroups,
    normEps: unet.number("norm_eps", { min: 0, max: 1, fallback: 1e-5 }),
  };
}

/** Layers of each level's transformers; the way up must mirror the way down. */
function readTransformerLayers(unet: ConfigReader, levels: number): number[] {
  const layers = unet.perLevel("transformer_layers_per_block", {
    max: MAX_LEVEL_TRANSFORMERS,
    count: levels,
    fallback: 1,
  });
  const cross = Array.from({ length: levels }, (_, level) => (level === 0 ? "" : "CrossAttn"));
  const down = unet.texts(
    "down_block_types",
    cross.map((kind) => `${kind}DownBlock2D`),
  );
  const mirrored = down.map((type) => type.replace("Down", "Up")).toReversed();
  const up = unet.texts("up_block_types", mirrored);
  const isKnown = down.every((type) => type === "DownBlock2D" || type === "CrossAttnDownBlock2D");
  if (!isKnown || down.length !== levels || up.join() !== mirrored.join()) {
    throw fail("unsupported-model", `unet/config.json: blocks ${[...down, ...up].join(", ")}.`);
  }
  if (down.at(-1) !== "CrossAttnDownBlock2D") {
    throw fail("unsupported-model", "unet/config.json: the deepest level has no transformer.");
  }
  return layers.map((count, level) => (down[level] === "DownBlock2D" ? 0 : count));
}

function refuseUnsupported(unet: ConfigReader): void {
  const wanted = {
    act_fn: "silu",
    addition_embed_type: "text_time",
    mid_block_type: "UNetMidBlock2DCrossAttn",
  };
  for (const [key, only] of Object.entries(wanted)) {
    const value = unet.text(key, only);
    if (value === only) continue;
    throw fail("unsupported-model", `unet/config.json: ${key} ${value} is not supported.`);
  }
  const flags = { use_linear_projection: true, flip_sin_to_cos: true, center_input_sample: false };
  for (const [key, only] of Object.entries(flags)) {
    if (unet.flag(key, only) === only) continue;
    throw fail("unsupported-model", `unet/config.json: ${key} must be ${String(only)}.`);
  }
}
