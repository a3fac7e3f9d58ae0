// Sizes of FLUX's diffusion transformer.

/** Sizes of a transformer and the prefix of its checkpoint names. */
export interface FluxConfig {
  readonly prefix: string;
  readonly hiddenSize: number;
  readonly heads: number;
  /** Blocks with two streams. */
  readonly layers: number;
  /** Blocks with one stream. */
  readonly singleLayers: number;
  /** Width of the context that is embedded. */
  readonly contextSize: number;
  /** Width of the pooled text vector. */
  readonly pooledSize: number;
  readonly latentChannels: number;
  /** Channels of a head that each position axis rotates; their sum is the head's size. */
  readonly axesDims: readonly number[];
}
