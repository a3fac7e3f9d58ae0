// The understanding side's config files, as DeepSeek writes them for Janus and JanusFlow: the sizes of a SigLIP
// tower, and how pictures are prepared for it.
import type { SiglipConfig } from "../graph/blocks/siglip.ts";
import type { PreprocessOptions } from "../pixels/preprocess.ts";
import { ConfigReader } from "./config-reader.ts";
import { checkPictureSide, readNormalization } from "./preprocessor-config.ts";

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
  const width = size("width", 16384);
  const layers = size("layers", 200);
  const selected = params.integer("select_layer", { min: -200, max: 200, fallback: -2 });
  return {
    prefix,
    imageSize: params.integer("image_size", { max: 4096, fallback: 336 }),
    patchSize: size("patch_size", 256),
    width,
    // create_siglip_vit: a negative select_layer counts from the end.
    layers: Math.min(layers, selected <= 0 ? layers + selected + 1 : selected),
    heads: params.heads("heads", width, rule("heads", 256)),
    mlpRatio: params.number("mlp_ratio", { min: 0.1, max: 32, fallback: tower["mlp_ratio"] ?? 4 }),
  };
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
