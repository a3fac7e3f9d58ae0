// The part of Nexus-Gen's configuration that is about pictures it sees: the tower, and how large a picture may
// become in front of it.
import type { QwenVisionConfig } from "../../graph/blocks/qwen-vision.ts";
import type { ConfigReader } from "../config-reader.ts";
import {
  MAX_WIDTH,
  MAX_INNER_WIDTH,
  MAX_TOWER_WIDTH,
  MAX_TOWER_LAYERS,
  MAX_TOWER_HEADS,
  MAX_PATCH_SIDE,
  MAX_SEEN_SIDE,
} from "../size-limits.ts";

/** Limits of the pictures that the core sees. */
export interface SeenSizes {
  /** Pixels that the scripts shrink a picture to. */
  readonly maxPixels: number;
  /** V1's script for understanding squashes every picture to this side; 0 = it does not. */
  readonly squareSide: number;
  /** The processor's own limits. */
  readonly processorMinPixels: number;
  readonly processorMaxPixels: number;
}

/** Tokens of Qwen's own processor, whose limit is written in published files; pictures are shrunk before it. */
const PROCESSOR_TOKENS = 16384;
/** Patches that a picture is ever cut into (published: 1340): the mask of their windows has the square, 151 MB. */
const MAX_PATCHES = 6144;
/** Pixels of a token along a side. */
const MAX_TOKEN_SIDE = 256;
/** Equal frames of one patch. */
const MAX_FRAMES = 4;
const MAX_MERGE = 16;
/** Tokens of the square that is edited, along a side. */
const MAX_SOURCE_GRID = 64;

/**
 * The tower. Defaults are those of the authors' Qwen2_5_VLVisionConfig, on which the published file relies.
 *
 * @throws ModelError checkpoint-invalid for absurd sizes
 */
export function readVision(config: ConfigReader): QwenVisionConfig {
  const width = config.integer("hidden_size", { max: MAX_TOWER_WIDTH, fallback: 3584 });
  const heads = config.heads("num_heads", width, { max: MAX_TOWER_HEADS, fallback: 16 });
  // a head's numbers turn in pairs, half of them by the row and half by the column
  if ((width / heads) % 4 !== 0) throw config.wrong("num_heads", `${width} over a multiple of 4`);
  const patchSize = config.integer("patch_size", { max: MAX_PATCH_SIDE, fallback: 14 });
  const mergeSize = config.integer("spatial_merge_size", { max: MAX_MERGE, fallback: 2 });
  const tokenSide = patchSize * mergeSize;
  if (tokenSide > MAX_TOKEN_SIDE) {
    throw config.wrong(
      "patch_size",
      `at most ${MAX_TOKEN_SIDE / mergeSize} where ${mergeSize} merge`,
    );
  }
  return {
    prefix: "visual.",
    width,
    layers: config.integer("depth", { max: MAX_TOWER_LAYERS, fallback: 32 }),
    heads,
    intermediateSize: config.integer("intermediate_size", { max: MAX_INNER_WIDTH, fallback: 3420 }),
    patchSize,
    temporalPatchSize: config.integer("temporal_patch_size", { max: MAX_FRAMES, fallback: 2 }),
    mergeSize,
    windowSize: config.integer("window_size", {
      min: tokenSide,
      max: MAX_SEEN_SIDE,
      fallback: Math.max(112, tokenSide),
    }),
    fullAttention: config.integers("fullatt_block_indexes", {
      max: MAX_TOWER_LAYERS,
      fallback: [7, 15, 23, 31],
    }),
    outSize: config.integer("out_hidden_size", { max: MAX_WIDTH, fallback: 3584 }),
  };
}

/** Limits of pictures. @throws ModelError checkpoint-invalid for more than the tower can be given */
export function readSeen(
  own: ConfigReader,
  processor: ConfigReader,
  { patchSize, mergeSize }: QwenVisionConfig,
  isV1: boolean,
): SeenSizes {
  const token = (patchSize * mergeSize) ** 2;
  // what a picture may be grown or shrunk to: nothing behind these numbers is larger
  const max = mostPixels(patchSize);
  const side = { max: Math.floor(Math.sqrt(max)), fallback: 512 };
  return {
    maxPixels: own.integer("max_pixels", { max, fallback: Math.min(262640, max) }),
    squareSide: isV1 ? own.integer("understanding_size", side) : 0,
    processorMinPixels: processor.integer("min_pixels", { max, fallback: 4 * token }),
    processorMaxPixels: processor.integer("max_pixels", {
      max: PROCESSOR_TOKENS * token,
      fallback: PROCESSOR_TOKENS * token,
    }),
  };
}

function mostPixels(patchSize: number): number {
  return Math.min(MAX_PATCHES * patchSize ** 2, MAX_SEEN_SIDE ** 2);
}

/** Tokens along a side of the square that the editing decoder sees. @throws ModelError checkpoint-invalid */
export function readSourceGrid(
  own: ConfigReader,
  { patchSize, mergeSize }: QwenVisionConfig,
): number {
  const side = Math.floor(Math.sqrt(mostPixels(patchSize)) / (patchSize * mergeSize));
  const max = Math.min(MAX_SOURCE_GRID, side);
  return own.integer("source_grid", { max, fallback: 18 });
}
