import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { openPackedStore } from "../../../src/cli/packed-store.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { createFileSource } from "../../../src/weights/file-source.ts";
import { importCheckpoint } from "../../../src/weights/import-checkpoint.ts";
import { declare, safetensorsFile, weights } from "../../support/tiny-checkpoint.ts";

const SHAPE = [64, 96] as const;
const NAMES = ["a", "b", "c", "d"];
const FILE = new File(
  [
    safetensorsFile(
      Object.fromEntries(
        NAMES.map((name, i) => [
          name,
          { dtype: "BF16" as const, shape: SHAPE, values: weights(64 * 96, i) },
        ]),
      ),
    ),
  ],
  "model.safetensors",
  { lastModified: 1 },
);
const SHARDS = 7; // of 2048 bytes: four weights of 64 * 3 * (16 + 2) bytes

let out = "";
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), "web-umm-"));
});
afterEach(() => rm(out, { recursive: true }));

describe("openPackedStore", () => {
  test("goes on after the shards that a stopped conversion left", async () => {
    const stopper = new AbortController();
    await expect(convert(stopper, 3)).rejects.toThrow("enough");
    const left = await shards();
    expect(left.length).toBe(3);
    expect(await readdir(join(out, "web-umm-q4"))).toContain("journal.json");
    const { read } = await convert(new AbortController(), Infinity);
    expect(read).toBeLessThan((FILE.size * 4) / SHARDS + 64 * 96 * 2);
    const all = await shards();
    expect(all).toEqual(expect.arrayContaining(left));
    expect(all.length).toBe(SHARDS);
    const files = await readdir(join(out, "web-umm-q4"));
    expect(files.filter((name) => !name.endsWith(".bin"))).toEqual(["manifest.json"]);
  });

  test("lists the shards in the order of the model", async () => {
    const { manifest } = await convert(new AbortController(), Infinity);
    const text = await readFile(join(out, "web-umm-q4/manifest.json"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ shards: manifest.shards, quantization: "q4" });
    expect(manifest.shards.length).toBe(SHARDS);
  });
});

async function shards(): Promise<string[]> {
  const files = await readdir(join(out, "web-umm-q4"));
  return files.filter((name) => name.endsWith(".bin")).toSorted();
}

// Stops when so many shards are there. Tells how many bytes of tensors were read.
async function convert(stopper: AbortController, stopAfter: number) {
  const store = await openPackedStore(out, "q4");
  const source = createFileSource({ name: "m", files: new Map([["model.safetensors", FILE]]) });
  const checkpoint = await openCheckpoint(source);
  let read = 0;
  const manifest = await importCheckpoint({
    key: "0".repeat(64),
    family: "tiny",
    quantization: "q4",
    files: { "config.json": "{}" },
    checkpoint,
    declarations: NAMES.map((name) => declare(name, SHAPE, "linear")),
    store: Object.assign(store, {
      put: stoppingPut(store.put.bind(store), stopper, stopAfter),
    }),
    signal: stopper.signal,
    shardBytes: 2048,
    onProgress: ({ totalBytes }) => (read = totalBytes),
  });
  return { manifest, read };
}

function stoppingPut<P extends unknown[], R>(
  put: (...parameters: P) => Promise<R>,
  stopper: AbortController,
  stopAfter: number,
): (...parameters: P) => Promise<R> {
  let count = 0;
  return async (...parameters) => {
    const result = await put(...parameters);
    if (++count >= stopAfter) stopper.abort(new Error("enough"));
    return result;
  };
}
