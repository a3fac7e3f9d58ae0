// The understanding side's config files, as DeepSeek writes them for Janus and JanusFlow: the sizes of a SigLIP
// tower, and how pictures are prepared for it.
import { fail } from "../base/errors.ts";
import type { SiglipConfig } from "../graph/blocks/siglip.ts";
import type { PreprocessOptions } from "../pixels/preprocess.ts";
import { ConfigReader } from "./config-reader.ts";
import { checkPictureSide, readNormalization } from "./preprocessor-config.ts";
import {
  MAX_TOWER_WIDTH,
  MAX_TOWER_LAYERS,
  MAX_TOWER_HEADS,
  MAX_PATCH_SIDE,
  MAX_SEEN_SIDE,
} from "./size-limits.ts";

// timm's SigLIP towers by name. Explicit keys in the params win over this table (ours: the authors'
// code knows the table alone).
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/janusflow/models/siglip_vit.py#L606-L647
const SIGLIP_TOWERS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  siglip_so400m_patch14_384: {
    patch_size: 14,
    width: 1152,
    layers: 27,
    heads: 16,
    mlp_ratio: 3.7362,
  },
  siglip_so400m_patch14_224: {
    patch_size: 14,
    width: 1152,
    layers: 27,
    heads: 16,
    mlp_ratio: 3.7362,
  },
  siglip_large_patch16_384: { patch_size: 16, width: 1024, layers: 24, heads: 16, mlp_ratio: 4 },
  siglip_large_patch16_256: { patch_size: 16, width: 1024, layers: 24, heads: 16, mlp_ratio: 4 },
};

/**
 * A tower of DeepSeek's CLIPVisionTower: `params` name one of timm's, or its sizes.
 *
 * @param prefix - what stands before every name in the checkpoint
 * @throws ModelError checkpoint-invalid for absurd sizes
 */
export function readSiglipConfig(params: ConfigReader, prefix: string): SiglipConfig {
  const modelName = params.text("model_name", "siglip_large_patch16_384");
  const tower = SIGLIP_TOWERS[modelName] ?? {};
  const rule = (key: string, max: number): { max: number; fallback?: number } => {
    const fallback = tower[key];
    return fallback === undefined ? { max } : { max, fallback };
  };
  const size = (key: string, max: number): number => params.integer(key, rule(key, max));
  const width = size("width", MAX_TOWER_WIDTH);
  const layers = size("layers", MAX_TOWER_LAYERS);
  // create_siglip_vit: a negative select_layer counts from the end.
  const selected = params.integer("select_layer", {
    min: -layers,
    max: MAX_TOWER_LAYERS,
    fallback: -2,
  });
  return checkedTower({
    prefix,
    imageSize: params.integer("image_size", { max: MAX_SEEN_SIDE, fallback: 336 }),
    patchSize: size("patch_size", MAX_PATCH_SIDE),
    width,
    layers: Math.min(layers, selected <= 0 ? layers + selected + 1 : selected),
    heads: params.heads("heads", width, rule("heads", MAX_TOWER_HEADS)),
    mlpRatio: params.number("mlp_ratio", { min: 0.1, max: 32, fallback: tower["mlp_ratio"] ?? 4 }),
  });
}

/** The tower. @throws ModelError checkpoint-invalid when its picture has no patch */
export function checkedTower(tower: SiglipConfig): SiglipConfig {
  const { imageSize, patchSize } = tower;
  if (patchSize <= imageSize) return tower;
  throw fail(
    "checkpoint-invalid",
    `config.json: a tower cuts pictures of ${imageSize} px into patches of ${patchSize} px.`,
    { imageSize, patchSize },
  );
}

/** Patches of one picture: those that are whole. */
export function towerPatches({ imageSize, patchSize }: SiglipConfig): number {
  return Math.floor(imageSize / patchSize) ** 2;
}

/** Least pixels of a picture's short side, where no file says otherwise: VLMImageProcessor's own. */
const MIN_SIZE = 14;

/**
 * preprocessor_config.json of DeepSeek's VLMImageProcessor; all of it may be absent.
 *
 * @param imageSize - side of the pictures that the tower reads
 * @throws ModelError checkpoint-invalid for absurd values, and for another side
 */
export function readPreprocess(json: unknown, imageSize: number): PreprocessOptions {
  const reader = new ConfigReader(json ?? {}, "preprocessor_config.json");
  checkPictureSide(reader, imageSize);
  const fallback = Math.min(MIN_SIZE, imageSize);
  return {
    imageSize,
    minSize: reader.integer("min_size", { max: imageSize, fallback }),
    doNormalize: reader.flag("do_normalize", true),
    ...readNormalization(reader, { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }),
  };
}
