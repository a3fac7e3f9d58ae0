// Every golden checkpoint from a hub that tells the hashes of its files: single files, shards with an index, PyTorch
// archives, companions in folders. Proved whole, they become the very bytes that a folder on disk becomes.
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import { importModel } from "../../../src/engine/import-model.ts";
import type { FetchLike } from "../../../src/base/wire-fetch.ts";
import type { SourceLocation } from "../../../src/base/source-location.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import type { HubFiles } from "../../support/fake-hub.ts";
import { fakeHub, HUB_URL, REPOSITORY } from "../../support/fake-hub.ts";
import { folderFiles } from "../../support/folder-files.ts";

const GOLDEN = new URL("../../golden/", import.meta.url);
const CHECKPOINTS = readdirSync(GOLDEN, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name === "checkpoint")
  .map(({ parentPath }) => `${parentPath.slice(GOLDEN.pathname.length)}/checkpoint`)
  .toSorted();

describe.each(CHECKPOINTS)("%s", (path) => {
  const files = folderFiles(new URL(`${path}/`, GOLDEN));

  test("is the same from a hub, and no byte of its weights may be another one", async () => {
    const expected = await load({ kind: "files", files });
    const published = await contentOf(files);
    const proved = await load(parseSource(REPOSITORY), fakeHub(published));
    expect(proved.shards).toEqual(expected.shards);
    const weights = Object.keys(published).filter((name) =>
      /\.(safetensors|bin|pt|ckpt)$/.test(name),
    );
    expect(weights.length).toBeGreaterThan(0);
    for (const name of weights) {
      const at = (published[name]?.length ?? 0) - 7;
      const spoilt = fakeHub(published, ({ path: sent, start, bytes }) => {
        const place = at - start;
        if (sent === name && bytes[place] !== undefined) bytes[place] ^= 1;
      });
      const loading = load(parseSource(REPOSITORY), spoilt);
      await expect(loading, name).rejects.toMatchObject({
        code: expect.stringMatching(/^(download-failed|checkpoint-invalid)$/),
      });
    }
  });
});

async function contentOf(files: readonly File[]): Promise<HubFiles> {
  const contents = files.map(async (file) => {
    const name = file.webkitRelativePath.slice("checkpoint/".length);
    return [name, new Uint8Array(await file.arrayBuffer())] as const;
  });
  return Object.fromEntries(await Promise.all(contents));
}

async function load(location: SourceLocation, fetch?: FetchLike): Promise<Manifest> {
  const store = new WeightStore(memoryKeyValue(), "memory");
  const request = { location, companions: {}, quantization: "q8", hubUrl: HUB_URL } as const;
  const { signal } = new AbortController();
  const { manifestKey } = await importModel(request, store, {
    ...(fetch && { fetch }),
    signal,
    onProgress: () => undefined,
  });
  const manifest = await store.readManifest(manifestKey);
  if (!manifest) throw new Error("nothing is stored");
  return manifest;
}
