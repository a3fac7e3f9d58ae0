// Element types of tensors and the ways a weight may be stored. Layer 0: imports nothing.

/** Element type of a tensor in a graph, in GPU memory, or in a shard. */
export type DType = "f32" | "f16" | "i32" | "u32" | "i64" | "u8" | "bool";

/** Floating point type that the graphs compute in: f16 where the device has shader-f16, else f32. */
export type FloatType = "f32" | "f16";

/** What a user may ask for: how the large matrices of a model are stored. */
export type Quantization = "f32" | "f16" | "q8" | "q4";

/** Weights per quantization block along the input dimension, as MatMulNBits reads them. */
export const QUANTIZATION_BLOCK = 32;

const BYTES: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  u8: 1,
  bool: 1,
};

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}
