// Hashes of the shards that test/golden/janus-flow/a becomes, here and in every browser.
import type { Quantization } from "../../src/base/dtype.ts";

/** SHA-256 of every shard, in order. */
export const CONVERTED_SHARDS: Readonly<Record<Quantization, readonly string[]>> = {
  q4: ["853feeb29aa9ebd49531a9c45c6ede9d57b880d2c0725ee5c68844bc98414a1e"],
  q8: ["a2bd564638e28ccada96dfc1feea0d394c4c71c149b2a979ed2842208e776c36"],
  f16: ["66d3e03ddd735a270ef930e0d0f24e475c160ae844418f8fe3304a42778183b3"],
  f32: ["9be1040858dda6fdfaf0f9b24cd54c33a728016555e2ae31b54006637f58a15a"],
};
