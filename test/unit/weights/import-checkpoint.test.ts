import { afterEach, describe, expect, test } from "vitest";

import type { LoadProgress } from "../../../src/base/events.ts";
import { parseSource } from "../../../src/base/source-location.ts";
import { openCheckpoint, readSideFiles } from "../../../src/weights/checkpoint.ts";
import type { ImportRequest } from "../../../src/weights/import-checkpoint.ts";
import { importCheckpoint, repairShards } from "../../../src/weights/import-checkpoint.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { manifestKey } from "../../../src/weights/manifest.ts";
import type { LoadedPart } from "../../../src/weights/read-model.ts";
import { readTensors } from "../../../src/weights/read-model.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { declare, safetensorsFile, textFile, weights } from "../../support/tiny-checkpoint.ts";
import { setRow } from "../../support/set-row.ts";

const SHAPES = {
  embed: [40, 64],
  up: [96, 64],
  down: [64, 96],
  norm: [64],
  conv: [8, 4, 3, 3],
} as const;
const VALUES = Object.fromEntries(
  Object.entries(SHAPES).map(([name, shape], index) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return [name, weights(count, index + 1)];
  }),
);
const FILES = {
  "/m/config.json": textFile({ model_type: "tiny" }),
  "/m/tokenizer.json": textFile({ model: {} }),
  "/m/model.safetensors": safetensorsFile({
    embed: { dtype: "F32", shape: SHAPES.embed, values: VALUES["embed"] ?? [] },
    unused: { dtype: "I64", shape: [3], values: [1, 2, 3] },
    up: { dtype: "BF16", shape: SHAPES.up, values: VALUES["up"] ?? [] },
    down: { dtype: "F16", shape: SHAPES.down, values: VALUES["down"] ?? [] },
    norm: { dtype: "F32", shape: SHAPES.norm, values: VALUES["norm"] ?? [] },
    conv: { dtype: "F64", shape: SHAPES.conv, values: VALUES["conv"] ?? [] },
  }),
};
const DECLARATIONS = [
  declare("embed", SHAPES.embed, "embedding"),
  declare("up", SHAPES.up, "linear"),
  declare("down", SHAPES.down, "linear"),
  declare("norm", SHAPES.norm, "plain"),
  declare("conv", SHAPES.conv, "plain"),
];

let server: FaultServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe("importCheckpoint", () => {
  test("stores f32 weights as they are, linear ones transposed", async () => {
    const { store, manifest } = await install("f32");
    const parts = await readAll(store, manifest);
    expect(parts.map(({ name }) => name)).toEqual(["embed", "up", "down", "norm", "conv"]);
    expect(floats(parts[0])).toEqual(VALUES["embed"]);
    expect(floats(parts[3])).toEqual(VALUES["norm"]);
    expect(floats(parts[4])).toEqual(VALUES["conv"]);
    const up = floats(parts[1]);
    expect(parts[1]?.shape).toEqual([64, 96]);
    const original = VALUES["up"] ?? new Float32Array();
    expect(up[5 * 96 + 7]).toBeCloseTo(original[7 * 64 + 5] ?? NaN, 3);
  });

  test("stores quantized weights in two parts of the declared shapes", async () => {
    const { store, manifest } = await install("q4");
    const parts = await readAll(store, manifest);
    expect(
      parts.map(({ name, dtype, shape, bytes }) => [name, dtype, shape, bytes.length]),
    ).toEqual([
      ["embed", "u8", [40, 32], 40 * 32],
      ["embed.scales", "f16", [40, 2], 160],
      ["up", "u8", [96, 2, 16], 96 * 32],
      ["up.scales", "f16", [192], 384],
      ["down", "u8", [64, 3, 16], 64 * 48],
      ["down.scales", "f16", [192], 384],
      ["norm", "f16", [64], 128],
      ["conv", "f16", [8, 4, 3, 3], 576],
    ]);
  });

  test("a second load finds the manifest and asks for nothing", async () => {
    const { store, manifest } = await install("q8");
    const before = server?.requests.length;
    const again = await store.readManifest(manifest.key);
    await readAll(store, again ?? manifest);
    expect(again?.files["config.json"]).toBe('{"model_type":"tiny"}');
    expect(server?.requests.length).toBe(before);
  });

  test("reads each wanted byte once and skips the others", async () => {
    await install("q8");
    const data = server?.requests.filter(({ path }) => path.endsWith("model.safetensors")) ?? [];
    expect(data.map(({ range }) => range).length).toBe(2); // header, all neighbouring tensors
  });

  test("goes on after the last stored shard when it was stopped", async () => {
    const rows = memoryKeyValue();
    const stop = new AbortController();
    let writes = 0;
    const counted: KeyValue = {
      ...rows,
      change: async (decide) => {
        await rows.change(decide);
        if (++writes === 3) stop.abort(new Error("enough"));
      },
    };
    const request = await prepare("q8", new WeightStore(counted, "memory"));
    await expect(importCheckpoint({ ...request, signal: stop.signal })).rejects.toThrow("enough");
    const store = new WeightStore(rows, "memory");
    const stored = (await store.usage()).shards;
    expect(stored).toBeGreaterThanOrEqual(3);
    const whole = await importCheckpoint(request.plain);
    const resumed = await importCheckpoint({ ...request, store });
    expect(resumed.shards).toEqual(whole.shards);
    expect(await store.readJournal(request.key)).toBeUndefined();
  });

  test("makes a damaged shard again", async () => {
    const rows = memoryKeyValue();
    const request = await prepare("q4", new WeightStore(rows, "memory"));
    const manifest = await importCheckpoint(request);
    const hash = manifest.shards[2]?.hash ?? "";
    const blob = await rows.get(`shard:${hash}`);
    const bytes = new Uint8Array(blob instanceof Blob ? await blob.arrayBuffer() : []);
    bytes[17] = (bytes[17] ?? 0) ^ 4;
    await setRow(rows, `shard:${hash}`, new Blob([bytes]));
    await expect(readAll(request.store, manifest)).rejects.toMatchObject({
      code: "weights-corrupt",
      details: { shards: [hash] },
    });
    const sources = { "": request.checkpoint.source };
    await repairShards({ manifest, hashes: [hash], sources, store: request.store });
    expect((await readAll(request.store, manifest)).length).toBe(8);
  });

  test("names what is missing and what has another shape", async () => {
    const request = await prepare("q4", new WeightStore(memoryKeyValue(), "memory"));
    const declarations = [
      ...DECLARATIONS,
      declare("gone", [4, 4], "linear"),
      declare("up", [64, 96], "linear", { key: "up2" }),
      declare("unused", [3], "plain"),
    ];
    const failing = importCheckpoint({ ...request, declarations });
    await expect(failing).rejects.toMatchObject({ code: "checkpoint-invalid" });
    await expect(failing).rejects.toThrow(
      /gone is missing; up is \[96, 64\], expected \[64, 96\]; unused is I64/,
    );
  });

  test("reports bytes up to the total", async () => {
    const seen: LoadProgress[] = [];
    const request = await prepare("q4", new WeightStore(memoryKeyValue(), "memory"));
    await importCheckpoint({ ...request, onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toMatchObject({ phase: "download", file: "model.safetensors" });
    expect(seen.at(-1)?.loadedBytes).toBe(seen.at(-1)?.totalBytes);
  });
});

type Prepared = ImportRequest & { readonly plain: ImportRequest };

async function prepare(
  quantization: ImportRequest["quantization"],
  store: WeightStore,
): Promise<Prepared> {
  server ??= await startFaultServer(FILES);
  const source = await openSource(parseSource(`${server.url}/m`));
  const sideFiles = ["config.json", "tokenizer.json"].map((name) => ({ name, isRequired: true }));
  const request = {
    key: await manifestKey({ source: source.id, quantization }),
    files: await readSideFiles(source, sideFiles),
    checkpoint: await openCheckpoint(source),
    declarations: DECLARATIONS,
    quantization,
    family: "tiny",
    store,
    shardBytes: 1024,
  };
  const plain = { ...request, store: new WeightStore(memoryKeyValue(), "memory") };
  return { ...request, plain };
}

async function install(quantization: ImportRequest["quantization"]) {
  const store = new WeightStore(memoryKeyValue(), "memory");
  const request = await prepare(quantization, store);
  return { store, manifest: await importCheckpoint(request) };
}

async function readAll(...args: Parameters<typeof readTensors>): Promise<LoadedPart[]> {
  const parts: LoadedPart[] = [];
  for await (const part of readTensors(...args)) parts.push(part);
  return parts;
}

function floats(part: LoadedPart | undefined): Float32Array {
  return new Float32Array(part?.bytes.buffer ?? new ArrayBuffer(0));
}
