// The two JanusFlow checkpoints of the golden data, as a user would hand them over: one BF16 file and
// three shards of several types, each with a VAE folder, from local files and from a server.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";

import type { Quantization } from "../../../src/base/dtype.ts";
import { f16ToF32 } from "../../../src/base/float16.ts";
import type { SourceLocation } from "../../../src/base/source-location.ts";
import { parseSource } from "../../../src/base/source-location.ts";
import type { WeightDeclaration } from "../../../src/base/weight-declaration.ts";
import type { Checkpoint } from "../../../src/weights/checkpoint.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { openCompanion } from "../../../src/weights/companion.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { decodeFloats } from "../../../src/weights/quantize.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { dequantize } from "../../support/dequantize.ts";
import type { FaultKind, FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { declare } from "../../support/tiny-checkpoint.ts";

const NAMES = ["a", "b"] as const;

let server: FaultServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe.each(NAMES)("checkpoint %s", (name) => {
  test("in f32 holds exactly the published numbers", async () => {
    const { checkpoints, manifest, parts } = await install(localFiles(name), "f32");
    for (const weight of declareAll(checkpoints)) {
      const stored = new Float32Array(parts.get(weight.key)?.buffer ?? new ArrayBuffer(0));
      expect(isSame(stored, await published(checkpoints, weight)), weight.key).toBe(true);
    }
    expect(manifest.totalBytes).toBe(manifest.shards.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test.each<[Quantization, number]>([
    ["f16", 0.9999999],
    ["q8", 0.99998],
    ["q4", 0.995],
  ])("in %s every matrix keeps a cosine of %d", async (quantization, least) => {
    const { checkpoints, parts } = await install(localFiles(name), quantization);
    for (const weight of declareAll(checkpoints).filter(({ use }) => use === "linear")) {
      const bytes = parts.get(weight.key) ?? new Uint8Array(0);
      const halves = new Uint16Array(bytes.slice().buffer);
      const scales = new Uint16Array(parts.get(`${weight.key}.scales`)?.slice().buffer ?? []);
      const isQuantized = quantization !== "f16";
      const width = weight.shape[1] ?? 1;
      const stored = isQuantized
        ? dequantize({ values: bytes, scales }, width, quantization === "q4" ? 4 : 8)
        : f16ToF32(halves);
      const original = await published(checkpoints, weight, !isQuantized);
      expect(cosine(stored, original), weight.key).toBeGreaterThan(least);
    }
  });

  test.each<FaultKind | "none">(["none", "ignore-range", "ignore-range-chunked"])(
    "from a server (%s) gives the same shards as from local files",
    async (kind) => {
      const local = await install(localFiles(name), "q4");
      server = await startFaultServer(served(name));
      if (kind !== "none") server.use({ kind });
      const remote = await install(parseSource(`${server.url}/m`), "q4");
      expect(remote.manifest.shards).toEqual(local.manifest.shards);
    },
  );
});

async function install(location: SourceLocation, quantization: Quantization) {
  const source = await openSource(location);
  const vae = await openCompanion({ name: "vae", source, repository: "none/none" }, {});
  const checkpoints = { "": await openCheckpoint(source), vae: await openCheckpoint(vae) };
  const store = new WeightStore(memoryKeyValue(), "memory");
  const manifest: Manifest = await importCheckpoint({
    key: "k",
    checkpoint: checkpoints[""],
    companions: { vae: checkpoints.vae },
    declarations: declareAll(checkpoints),
    quantization,
    family: "janus-flow",
    files: {},
    store,
    shardBytes: 100_000,
  });
  const parts = new Map<string, Uint8Array<ArrayBuffer>>();
  for await (const { name, bytes } of readTensors(store, manifest)) parts.set(name, bytes);
  return { checkpoints, manifest, parts };
}

// Matrices as a graph would use them, everything else as it is.
function declareAll(checkpoints: Readonly<Record<string, Checkpoint>>): WeightDeclaration[] {
  return Object.entries(checkpoints).flatMap(([companion, { tensors }]) =>
    [...tensors].map(([tensor, { shape }]) => {
      const isMatrix = shape.length === 2 && (shape[1] ?? 0) > 1 && tensor.endsWith(".weight");
      const use = !isMatrix ? "plain" : tensor.includes("embed_tokens") ? "embedding" : "linear";
      return declare(tensor, shape, use, { companion, key: `${companion}/${tensor}` });
    }),
  );
}

// The numbers of the checkpoint, transposed where a linear weight is stored so.
async function published(
  checkpoints: Readonly<Record<string, Checkpoint>>,
  { companion, tensor, use, shape }: WeightDeclaration,
  isTransposed = use === "linear",
): Promise<Float32Array> {
  const checkpoint = checkpoints[companion];
  const entry = checkpoint?.tensors.get(tensor);
  if (!checkpoint || !entry) throw new Error(`no ${tensor}`);
  const bytes = await checkpoint.source.readRange(entry.file, entry.start, entry.end);
  const { dtype } = entry;
  if (dtype !== "BF16" && dtype !== "F16" && dtype !== "F32") throw new Error(dtype);
  const values = decodeFloats(bytes, dtype);
  const [height = 1, width = 1] = shape;
  if (!isTransposed) return values;
  return values.map((_, i) => values[(i % height) * width + Math.floor(i / height)] ?? NaN);
}

function localFiles(name: string): SourceLocation {
  return {
    kind: "files",
    files: Object.entries(served(name)).map(([path, bytes]) => {
      const file = new File([bytes], path.slice(path.lastIndexOf("/") + 1));
      Object.defineProperty(file, "webkitRelativePath", { value: path.slice(1) });
      return file;
    }),
  };
}

function served(name: string): Record<string, Uint8Array<ArrayBuffer>> {
  const folder = join(import.meta.dirname, "../../golden/janus-flow", name, "checkpoint");
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const files = paths.filter((path) => /\.(?:json|safetensors)$/.test(path));
  return Object.fromEntries(
    files.map((path) => [`/m/${path}`, new Uint8Array(readFileSync(join(folder, path)))]),
  );
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((x, i) => {
    const y = b[i] ?? NaN;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  });
  return ab / Math.sqrt(aa * bb);
}
