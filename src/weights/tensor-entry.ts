// Where one tensor of a checkpoint is, whichever format its file has.

/** Element types, by the names that safetensors gives them. */
export type TensorDType = keyof typeof TENSOR_BYTES;

/** Bytes of one element. */
export const TENSOR_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
} as const;

/** One tensor of a checkpoint. `start` and `end` are bytes of the file, end exclusive. */
export interface TensorEntry {
  readonly file: string;
  readonly dtype: TensorDType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
  /** Why the bytes cannot be read as they are; "start" and "end" mean nothing then. */
  readonly fault?: string;
}
