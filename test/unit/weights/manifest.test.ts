import { describe, expect, test } from "vitest";

import type { ManifestIdentity } from "../../../src/weights/manifest.ts";
import { manifestKey, parseManifest } from "../../../src/weights/manifest.ts";
import { manifestOfShards } from "../../support/tiny-manifest.ts";

const HASH = "ab".repeat(32);
const GOOD = manifestOfShards("k", [
  { hash: HASH, bytes: 64 },
  { hash: HASH, bytes: 16 },
]);

describe("manifestKey", () => {
  const base: ManifestIdentity = { source: "a/b@main", quantization: "q4" };

  test("is a hash that depends on source, quantization and chosen companions", async () => {
    const identities: ManifestIdentity[] = [
      base,
      { ...base, source: "a/c@main" },
      { ...base, quantization: "q8" },
      { ...base, companions: { vae: "x/y@main" } },
    ];
    const keys = await Promise.all(identities.map(manifestKey));
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(keys).size).toBe(4);
    expect(await manifestKey({ ...base })).toBe(keys[0]);
  });
});

describe("parseManifest", () => {
  test("accepts what the importer writes", () => {
    expect(parseManifest(structuredClone(GOOD))).toEqual(GOOD);
  });

  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["a list", []],
    ["another version", { ...GOOD, version: 2 }],
    ["a quantization that does not exist", { ...GOOD, quantization: "q2" }],
    ["a hash that is no hash", { ...GOOD, shards: [{ hash: "x", bytes: 80 }] }],
    ["shards of other sizes", { ...GOOD, shards: GOOD.shards.toReversed() }],
    ["another sum of bytes", { ...GOOD, totalBytes: 81 }],
    ["a file that is no text", { ...GOOD, files: { "config.json": {} } }],
    ["a piece outside of its shard", withPiece({ shard: 1, shardOffset: 1, bytes: 16 })],
    ["a piece in a shard that is not there", withPiece({ shard: 2, shardOffset: 0, bytes: 16 })],
    ["a negative offset", withPiece({ shard: 1, shardOffset: -1, bytes: 16 })],
    ["a shape that needs other bytes", { ...GOOD, tensors: [{ ...GOOD.tensors[0], shape: [79] }] }],
    ["a dtype that does not exist", { ...GOOD, tensors: [{ ...GOOD.tensors[0], dtype: "f8" }] }],
    ["a recipe of another kind", { ...GOOD, recipes: [{ ...GOOD.recipes[0], use: "magic" }] }],
    ["a companion without a source", { ...GOOD, companions: { vae: {} } }],
  ])("refuses %s", (_, value) => {
    expect(parseManifest(value)).toBeUndefined();
  });

  test("refuses a manifest without any one of its fields", () => {
    for (const field of Object.keys(GOOD)) {
      const rest = Object.fromEntries(Object.entries(GOOD).filter(([name]) => name !== field));
      expect(parseManifest(rest), field).toBeUndefined();
    }
  });
});

function withPiece(piece: unknown): unknown {
  return { ...GOOD, tensors: [{ ...GOOD.tensors[0], shape: [16], pieces: [piece] }] };
}
