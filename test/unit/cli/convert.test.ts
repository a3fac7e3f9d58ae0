import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { convert, locate } from "../../../src/cli/convert.ts";
import { openAnywhere } from "../../../src/cli/read-config.ts";
import type { Quantization } from "../../../src/base/dtype.ts";
import type { SourceLocation } from "../../../src/base/source-location.ts";
import { importModel, repairModel } from "../../../src/engine/import-model.ts";
import type { ImportTools } from "../../../src/engine/loader.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { CONVERTED_SHARDS } from "../../support/converted-shards.ts";
import { setRow } from "../../support/set-row.ts";

const CHECKPOINT = fileURLToPath(new URL("../../golden/janus-flow/a/checkpoint/", import.meta.url));
const ignore = (): void => undefined;

let out = "";
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), "web-umm-"));
});
afterEach(() => rm(out, { recursive: true }));

describe("convert", () => {
  test("writes side files, shards under their hash, and the manifest of them", async () => {
    const outcome = await pack();
    expect(outcome.family).toBe("janus-flow");
    const manifest = await readManifest();
    const shards = await readdir(join(out, "web-umm-q4"));
    expect(shards.toSorted()).toEqual(
      [...manifest.shards.map(({ hash }) => `${hash}.bin`), "manifest.json"].toSorted(),
    );
    expect(await readdir(out)).toEqual(expect.arrayContaining(["config.json", "tokenizer.json"]));
    expect(await readFile(join(out, "vae/config.json"), "utf8")).toContain("latent_channels");
    expect(JSON.stringify(manifest)).not.toContain(out);
  });

  test("writes the same bytes every time", async () => {
    await pack();
    const first = await readFile(join(out, "web-umm-q4/manifest.json"));
    await rm(join(out, "web-umm-q4"), { recursive: true });
    await pack();
    expect((await readFile(join(out, "web-umm-q4/manifest.json"))).equals(first)).toBe(true);
  });

  test("writes the shards that the library makes of the original", async () => {
    await pack();
    const { shards, tensors, recipes } = await readManifest();
    const direct = await load(CHECKPOINT);
    expect(direct.manifest.shards).toEqual(shards);
    expect(direct.manifest.tensors).toEqual(tensors);
    expect(direct.manifest.recipes).toEqual(recipes);
  });

  test.each(["q4", "q8", "f16", "f32"] as const)("writes what browsers write, in %s", async (q) => {
    await pack(q);
    const { shards } = await readManifest(q);
    expect(shards.map(({ hash }) => hash)).toEqual(CONVERTED_SHARDS[q]);
  });

  test("says that there is no such folder", () => {
    expect(() => locate("./nowhere")).toThrow(/There is no folder .*nowhere/);
    expect(() => locate("nowhere")).toThrow(/neither a hub id .* nor a URL/);
    expect(locate("owner/name@v1")).toEqual({ kind: "hub", id: "owner/name", revision: "v1" });
  });
});

describe("importModel of a converted folder", () => {
  test("stores its shards as they are, without the original weights", async () => {
    await pack();
    const { manifest, store } = await load(out);
    const packed = await readManifest();
    expect(manifest.shards).toEqual(packed.shards);
    expect(manifest.packed).toBe("web-umm-q4");
    const original = await readFile(join(CHECKPOINT, "config.json"), "utf8");
    expect(JSON.parse(manifest.files["config.json"] ?? "")).toEqual({
      ...JSON.parse(original),
      web_umm_converted: ["q4"],
    });
    for (const shard of manifest.shards) expect((await store.get(shard)).length).toBe(shard.bytes);
  });

  test("refuses a shard that is not what the manifest says", async () => {
    await pack();
    const [shard] = (await readManifest()).shards;
    const path = join(out, "web-umm-q4", `${shard?.hash}.bin`);
    const bytes = await readFile(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(load(out)).rejects.toThrow(/is not what its manifest says, 3 times/);
  });

  test("is told by config.json which quantizations there are", async () => {
    await pack("q4");
    await pack("q8");
    expect((await load(out, "q4")).manifest.quantization).toBe("q4");
    const { manifest } = await load(out, "q8");
    expect(manifest.quantization).toBe("q8");
    expect(manifest.files["config.json"]).toContain('"web_umm_converted": [\n    "q4",\n    "q8"');
  });

  test("refuses side files that the model was not made with", async () => {
    await pack();
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8")) as object;
    await writeFile(join(out, "config.json"), JSON.stringify({ ...config, torch_dtype: "x" }));
    await expect(load(out)).rejects.toThrow(/was made with another config\.json/);
  });

  test.each([
    ["is no JSON", "{"],
    ["is empty", "{}"],
    ["leaves the folder", '{"files":{"../secret":"00"}}'],
    ["names an absolute path", '{"files":{"/etc/passwd":"00"}}'],
  ])("refuses a manifest that %s", async (_, text) => {
    await pack();
    await writeFile(join(out, "web-umm-q4/manifest.json"), text);
    await expect(load(out)).rejects.toMatchObject({ code: "checkpoint-invalid" });
  });

  test("refuses a manifest whose pieces lie outside of its shards", async () => {
    await pack();
    const manifest = await readFile(join(out, "web-umm-q4/manifest.json"), "utf8");
    const spoilt = manifest.replace(/"shardOffset":\d+/, '"shardOffset":99999999');
    await writeFile(join(out, "web-umm-q4/manifest.json"), spoilt);
    await expect(load(out)).rejects.toMatchObject({ code: "checkpoint-invalid" });
  });

  test("fetches a damaged shard again from the folder", async () => {
    await pack();
    const { manifest, store, rows } = await load(out);
    const [shard] = manifest.shards;
    if (!shard) throw new Error("nothing was stored");
    await setRow(rows, `shard:${shard.hash}`, new Blob(["damage"]));
    await repairModel({ location: place(out), companions: {}, quantization: "q4" }, store, tools());
    expect((await store.get(shard)).length).toBe(shard.bytes);
  });

  test("says which quantizations there are when asked for another one", async () => {
    await pack();
    await expect(load(out, "q8")).rejects.toThrow(
      /holds no weights.*converted to q4: ask for that quantization/,
    );
  });
});

function pack(quantization: Quantization = "q4"): ReturnType<typeof convert> {
  const options = { quantization, companions: {}, onProgress: ignore };
  return convert({ from: CHECKPOINT, to: out, ...options });
}

async function readManifest(quantization: Quantization = "q4"): Promise<Manifest> {
  const text = await readFile(join(out, `web-umm-${quantization}`, "manifest.json"), "utf8");
  return JSON.parse(text) as Manifest;
}

function place(folder: string): SourceLocation {
  return locate(folder);
}

function tools(): ImportTools {
  const { signal } = new AbortController();
  return { onProgress: ignore, signal, openSource: openAnywhere };
}

async function load(folder: string, quantization: "q4" | "q8" = "q4") {
  const rows = memoryKeyValue();
  const store = new WeightStore(rows, "memory");
  const request = { location: place(folder), companions: {}, quantization };
  const { manifestKey } = await importModel(request, store, tools());
  const manifest = await store.readManifest(manifestKey);
  if (!manifest) throw new Error("nothing was stored");
  return { manifest, store, rows };
}
