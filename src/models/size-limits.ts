// The most that a configuration from outside may say of each kind of size. Published models stay well below; above
// it a number is damage or malice, and the graphs, tables and pictures made of it would freeze or fill a device.
import { fail } from "../base/errors.ts";

/** Numbers of one token inside a core or a tower. */
export const MAX_WIDTH = 1 << 16;
/** Numbers inside a feed-forward, and other widths that are multiples of a core's. */
export const MAX_INNER_WIDTH = 1 << 20;
/** Heads of attention, and the size of one. */
export const MAX_HEADS = 1 << 10;
/** Blocks of a core: graphs of 128 are built in about a second; LLaMA-405B has 126. */
export const MAX_LAYERS = 128;
/** Ids of a vocabulary. */
export const MAX_VOCABULARY = 1 << 21;
/** Vectors of a codebook of pictures. */
export const MAX_CODES = 1 << 20;
/** Slots of a context. */
export const MAX_POSITIONS = 1 << 22;
/** Numbers of one patch inside a tower that sees pictures. */
export const MAX_TOWER_WIDTH = 1 << 14;
/** Blocks of a tower: ViT-22B has 48. */
export const MAX_TOWER_LAYERS = 64;
/** Heads of a tower. */
export const MAX_TOWER_HEADS = 1 << 8;
/** Pixels of a tower's patch along a side. */
export const MAX_PATCH_SIDE = 1 << 8;
/** Pixels along a side of a picture that is seen: 50 MB of numbers. */
export const MAX_SEEN_SIDE = 1 << 11;
/** Pixels along a side of a picture that is drawn when nothing else is asked for. */
export const MAX_DRAWN_SIDE = 1 << 12;
/** Channels of a convolution between pixels and latents. */
export const MAX_CHANNELS = 1 << 13;
/** Channels of the latents. */
export const MAX_LATENT_CHANNELS = 1 << 10;
/** Groups of channels that are normalised together. */
export const MAX_GROUPS = 1 << 10;
/** Residual blocks of one level of a convolutional network. */
export const MAX_BLOCKS_PER_LEVEL = 16;
/** Levels of an autoencoder, each half the size of the last: latents of 2^7 pixels. */
export const MAX_AUTOENCODER_LEVELS = 8;

/**
 * The side of a picture that is drawn when nothing else is asked for.
 *
 * @throws ModelError checkpoint-invalid when it is none, or too long to be meant
 */
export function drawnSide(pixels: number, place: string): number {
  if (Number.isInteger(pixels) && pixels >= 1 && pixels <= MAX_DRAWN_SIDE) return pixels;
  throw fail(
    "checkpoint-invalid",
    `${place}: pictures of ${pixels} px a side are to be drawn; at most ${MAX_DRAWN_SIDE} can be.`,
    { place },
  );
}
