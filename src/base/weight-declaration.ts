// A weight, declared once where a graph uses it. Plain data: the same declaration tells the importer
// what to fetch and how to store it, the shape check what to expect, and the session what to bind.
import type { Quantization } from "./dtype.ts";
import { QUANTIZATION_BLOCK } from "./dtype.ts";
import type { Shape } from "./shape.ts";

/** How a graph uses a weight; decides its stored layout. */
export type WeightUse =
  /** Linear weight `[out, in]`: quantizable; stored `[in, out]` (transposed) when kept in floats. */
  | "linear"
  /** Lookup table `[rows, width]`: quantizable, never transposed. */
  | "embedding"
  /** Anything else (norms, biases, convolutions): stored in floats, shape as in the checkpoint. */
  | "plain";

/** How one weight is stored. */
export type Storage = "f32" | "f16" | "q8" | "q4";

/** One tensor of a checkpoint as a graph needs it. */
export interface WeightDeclaration {
  /** Unique name in the store and of the graph input; the checkpoint name plus `[a:b]` for row slices. */
  readonly key: string;
  /** Name in the checkpoint. */
  readonly tensor: string;
  /** Other checkpoint names that mean the same tensor (old diffusers attention names). */
  readonly aliases: readonly string[];
  /** "" for the model's own files, else the companion's id, such as "vae". */
  readonly companion: string;
  /** Shape after slicing, in checkpoint order. */
  readonly shape: Shape;
  /** Shape of the tensor in the checkpoint. Another shape with the same elements and order is accepted
   *  when only dimensions of size 1 differ (`[512,512,1,1]` for `[512,512]`). */
  readonly sourceShape: Shape;
  /** Rows of dimension 0 to take (fused qkv); all when absent. */
  readonly rows?: readonly [start: number, end: number];
  readonly use: WeightUse;
  /** Never stored coarser than this, whatever the user asked for. */
  readonly keepAtLeast?: "q8" | "f16" | "f32";
}

/** One stored piece of a weight and at the same time one graph input. */
export interface StoredPart {
  /** `key` for values, `key + ".scales"` for the scales of a quantized weight. */
  readonly name: string;
  readonly dtype: "f32" | "f16" | "u8";
  readonly shape: Shape;
}

const FINENESS: readonly Storage[] = ["q4", "q8", "f16", "f32"];

/** The storage of a weight under the user's quantization: plain tensors stay floats, `keepAtLeast` holds. */
export function storageOf(weight: WeightDeclaration, quantization: Quantization): Storage {
  const asked: Storage = weight.use === "plain" && quantization !== "f32" ? "f16" : quantization;
  const least = weight.keepAtLeast ?? (hasWholeBlocks(weight) ? "q4" : "f16");
  return FINENESS.indexOf(asked) >= FINENESS.indexOf(least) ? asked : least;
}

// GatherBlockQuantized has no padding of the last block; MatMulNBits has.
function hasWholeBlocks({ use, shape }: WeightDeclaration): boolean {
  return use !== "embedding" || (shape[1] ?? 0) % QUANTIZATION_BLOCK === 0;
}

/**
 * The stored parts of a weight.
 *
 * Quantized `[out, in]`: values u8 `[out, blocks, 32 * bits / 8]` (low nibble first), scales f16
 * `[out * blocks]` for linear, `[out, blocks]` for embeddings, `blocks = ceil(in / 32)`; symmetric, zero
 * point 2^(bits-1). Values of embeddings are `[rows, blocks * 32 * bits / 8]`.
 * Float linear weights are transposed to `[in, out]`.
 *
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
 */
export function storedParts(
  weight: Pick<WeightDeclaration, "key" | "use" | "shape">,
  storage: Storage,
): StoredPart[] {
  if (storage === "f32" || storage === "f16") {
    const shape = weight.use === "linear" ? weight.shape.toReversed() : weight.shape;
    return [{ name: weight.key, dtype: storage, shape }];
  }
  const [rows = 1, width = 1] = weight.shape;
  const blocks = Math.ceil(width / QUANTIZATION_BLOCK);
  const blockBytes = storage === "q4" ? QUANTIZATION_BLOCK / 2 : QUANTIZATION_BLOCK;
  const embedding = weight.use === "embedding";
  return [
    {
      name: weight.key,
      dtype: "u8",
      shape: embedding ? [rows, blocks * blockBytes] : [rows, blocks, blockBytes],
    },
    {
      name: `${weight.key}.scales`,
      dtype: "f16",
      shape: embedding ? [rows, blocks] : [rows * blocks],
    },
  ];
}
