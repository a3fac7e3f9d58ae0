// The models of a simulated world: two that are published as their authors made them, one of them in two versions,
// and one that was converted before and shares its shards with the first.
import type { WeightDeclaration } from "../../../src/base/weight-declaration.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest, ShardRef } from "../../../src/weights/manifest.ts";
import { packedFolder, packedShard, packManifest } from "../../../src/weights/packed-model.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { declare, safetensorsFile, textFile, weights } from "../../support/tiny-checkpoint.ts";
import { sourceOf } from "../corpus.ts";

/** A model that pages may load. */
export interface SimModel {
  readonly name: string;
  /** Address of its folder. */
  readonly url: string;
  readonly isPacked: boolean;
  readonly declarations: readonly WeightDeclaration[];
  /** What may be stored of it, one list for each version that the host had. */
  readonly versions: readonly (readonly ShardRef[])[];
}

/** All that a world needs of its models. */
export interface Models {
  readonly list: readonly SimModel[];
  /** One more, with nothing but weights in its file. */
  readonly dense: SimModel;
  /** What the host has, by path. */
  readonly files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
  /** What the first model's file becomes when its authors change it. */
  readonly changed: { readonly path: string; readonly bytes: Uint8Array<ArrayBuffer> };
}

/** Small shards: a dozen of each model. */
export const SIM_SHARD_BYTES = 1024;
const HOST = "https://host.example";
const SHAPE = [16, 96] as const;
// More than a client asks for at once: some are asked for after the file has changed.
const NAMES = ["u", "v", "w", "x", "y", "z"];
const DECLARATIONS = NAMES.map((name, index) =>
  declare(name, SHAPE, index === 5 ? "embedding" : "linear"),
);

/** Makes the models; the same every time. */
export async function makeModels(): Promise<Models> {
  const [first, second, other] = [checkpoint(1), checkpoint(50), checkpoint(100)];
  const dense = checkpoint(150, 100);
  const [made, remade, madeOther] = [await store(first), await store(second), await store(other)];
  const madeDense = await store(dense);
  const folder = packedFolder("q4");
  const shards = made.shards.map(async (shard, index) => [
    `/packed/${packedShard(folder, shard)}`,
    made.bytes[index] ?? new Uint8Array(0),
  ]);
  const model = (name: string, ...versions: (readonly ShardRef[])[]): SimModel => {
    const isPacked = name === "packed";
    return { name, url: `${HOST}/${name}`, isPacked, declarations: DECLARATIONS, versions };
  };
  return {
    list: [
      model("first", made.shards, remade.shards),
      model("other", madeOther.shards),
      model("packed", made.shards),
    ],
    dense: model("dense", madeDense.shards),
    files: {
      "/first/model.safetensors": first,
      "/other/model.safetensors": other,
      "/dense/model.safetensors": dense,
      [`/packed/${folder}/manifest.json`]: textFile(await packManifest(made.manifest)),
      "/packed/config.json": textFile(CONFIG),
      ...Object.fromEntries(await Promise.all(shards)),
    },
    changed: { path: "/first/model.safetensors", bytes: second },
  };
}

const CONFIG = '{"model_type":"tiny"}';

// Weights too far apart for one request, unless the gaps are smaller.
function checkpoint(seed: number, gapLength = 20_000): Uint8Array<ArrayBuffer> {
  const gap = { dtype: "F32", shape: [gapLength], values: new Float32Array(gapLength) } as const;
  const tensors = NAMES.flatMap((name, index) => {
    const values = weights(SHAPE[0] * SHAPE[1], seed + index);
    return [
      [name, { dtype: "BF16", shape: SHAPE, values }] as const,
      [`${name}.gap`, gap] as const,
    ];
  });
  return safetensorsFile(Object.fromEntries(tensors));
}

interface Made {
  readonly manifest: Manifest;
  readonly shards: readonly ShardRef[];
  readonly bytes: readonly Uint8Array<ArrayBuffer>[];
}

async function store(file: Uint8Array<ArrayBuffer>): Promise<Made> {
  const weightStore = new WeightStore(memoryKeyValue(), "memory");
  const manifest = await importCheckpoint({
    key: "k",
    checkpoint: await openCheckpoint(sourceOf({ "model.safetensors": file })),
    declarations: DECLARATIONS,
    quantization: "q4",
    family: "tiny",
    files: { "config.json": CONFIG },
    store: weightStore,
    shardBytes: SIM_SHARD_BYTES,
  });
  const bytes = await Promise.all(manifest.shards.map((shard) => weightStore.get(shard)));
  return { manifest, shards: manifest.shards, bytes };
}
