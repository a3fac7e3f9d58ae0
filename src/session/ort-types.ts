// Names of element types at the border to onnxruntime.
import type { Tensor } from "onnxruntime-web";
import type { DType } from "../base/dtype.ts";

const ORT_TYPES = {
  f32: "float32",
  f16: "float16",
  i32: "int32",
  u32: "uint32",
  i64: "int64",
  u8: "uint8",
  bool: "bool",
} as const satisfies Record<DType, Tensor.Type>;

/** onnxruntime's name of a dtype. */
export type OrtType = (typeof ORT_TYPES)[DType];

/** onnxruntime's name of `dtype`. */
export function ortTypeOf(dtype: DType): OrtType {
  return ORT_TYPES[dtype];
}

const DTYPES: readonly DType[] = ["f32", "f16", "i32", "u32", "i64", "u8", "bool"];

/** Our name of an onnxruntime type. @throws Error for a type that no graph of ours has as an output */
export function dtypeOf(ortType: string): DType {
  const dtype = DTYPES.find((name) => ORT_TYPES[name] === ortType);
  if (dtype === undefined)
    throw new Error(`web-umm internal error: output type ${ortType} is unknown`);
  return dtype;
}
