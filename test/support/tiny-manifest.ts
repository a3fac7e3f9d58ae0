// A manifest over given shards, for tests of the store: one tensor of bytes that fills them.
import type { Manifest, ShardRef } from "../../src/weights/manifest.ts";
import { MANIFEST_VERSION } from "../../src/weights/manifest.ts";

/** A valid manifest; all shards but the last must be of one size. */
export function manifestOfShards(key: string, shards: readonly ShardRef[]): Manifest {
  const totalBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const pieces = shards.map(({ bytes }, shard) => ({ shard, shardOffset: 0, bytes }));
  return {
    version: MANIFEST_VERSION,
    key,
    source: `me/${key}`,
    revision: "main",
    family: "tiny",
    quantization: "q4",
    companions: {},
    files: { "config.json": "{}" },
    tensors: [{ name: "t", dtype: "u8", shape: [totalBytes], pieces }],
    recipes: [
      {
        key: "t",
        tensor: "t",
        use: "plain",
        storage: "f16",
        shape: [totalBytes / 2],
        companion: "",
        file: "model.safetensors",
        dtype: "F32",
        start: 0,
        end: totalBytes * 2,
      },
    ],
    shardBytes: shards[0]?.bytes ?? 1,
    shards,
    totalBytes,
    createdAt: 1,
  };
}
