import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { convert, locate } from "../../../src/cli/convert.ts";
import { openAnywhere } from "../../../src/cli/read-config.ts";
import type { Quantization } from "../../../src/base/dtype.ts";
import type { SourceLocation } from "../../../src/base/source-location.ts";
import { importModel, repairModel } from "../../../src/engine/import-model.ts";
import type { AdmittingTools } from "../../../src/engine/import-model.ts";
import type { ImportTools } from "../../../src/engine/loader.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { StoredTensor } from "../../../src/weights/layout.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { CONVERTED_SHARDS } from "../../support/converted-shards.ts";
import { setRow } from "../../support/set-row.ts";
import { sha256 } from "../../../src/weights/hash.ts";

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

  test("stores the converted model of the demo, which an earlier version made", async () => {
    const folder = fileURLToPath(
      new URL("../../../demo/models/tiny-transfusion/", import.meta.url),
    );
    const { manifest } = await load(folder, "q8");
    expect(manifest).toMatchObject({ family: "transfusion", packed: "web-umm-q8" });
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

  // Whoever publishes a folder signs its manifest: the signature is right, what it lists is not what the family reads.
  test.each(HOSTILE)("fetches no shard of a manifest that %s", async (_, change, text) => {
    await pack();
    await publish(change(await readManifest()));
    const read: string[] = [];
    const admit = vi.fn<() => Promise<void>>();
    await expect(load(out, "q4", { ...watched(read), admit })).rejects.toMatchObject({
      code: "checkpoint-invalid",
      message: expect.stringMatching(text),
    });
    expect(read.filter((path) => path.endsWith(".bin"))).toEqual([]);
    expect(admit).not.toHaveBeenCalled();
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

// It may list 100,000 shards of 64 MiB; one shard more is enough to see that nothing is fetched.
function withTensor({ shards, tensors, totalBytes, ...manifest }: Manifest): Manifest {
  const extra = { hash: "0".repeat(64), bytes: 4096 };
  const pieces = [{ shard: shards.length, shardOffset: 0, bytes: extra.bytes }];
  return {
    ...manifest,
    shardBytes: totalBytes, // every shard but the last has this size
    shards: [...shards, extra],
    tensors: [...tensors, { name: "stowaway", dtype: "u8", shape: [extra.bytes], pieces }],
    totalBytes: totalBytes + extra.bytes,
  };
}

type Change = (manifest: Manifest) => Manifest;

function changeFirst(change: (tensor: StoredTensor) => StoredTensor): Change {
  return ({ tensors, ...manifest }) => {
    const index = tensors.findIndex(({ dtype, shape }) => dtype === "f16" && shape.length === 2);
    return {
      ...manifest,
      tensors: tensors.map((tensor, n) => (n === index ? change(tensor) : tensor)),
    };
  };
}

const HOSTILE: readonly (readonly [string, Change, RegExp])[] = [
  ["holds a tensor more", withTensor, /stowaway is no weight of janus-flow/],
  [
    "renames a tensor",
    changeFirst((tensor) => ({ ...tensor, name: "stowaway" })),
    /is missing; stowaway is no weight/,
  ],
  [
    "turns a matrix round",
    changeFirst((tensor) => ({ ...tensor, shape: tensor.shape.toReversed() })),
    /is f16 \[\d+, \d+\], expected f16 \[\d+, \d+\]/,
  ],
  [
    "has numbers of another type",
    changeFirst(({ shape: [rows = 0, width = 0], ...tensor }) => ({
      ...tensor,
      dtype: "u8",
      shape: [rows, 2 * width],
    })),
    /is u8 \[\d+, \d+\], expected f16/,
  ],
];

async function publish(manifest: Manifest): Promise<void> {
  const { sha256: _signature, ...content } = manifest as Manifest & { sha256: string };
  const signed = { ...content, sha256: await sha256(JSON.stringify(content)) };
  await writeFile(join(out, "web-umm-q4/manifest.json"), JSON.stringify(signed));
}

/** Tools that note every file that is read. */
function watched(read: string[]): ImportTools {
  const openSource: typeof openAnywhere = async (location, options) => {
    const source = await openAnywhere(location, options);
    const readRange = source.readRange.bind(source);
    source.readRange = (file, ...rest) => {
      read.push(file);
      return readRange(file, ...rest);
    };
    return source;
  };
  return { ...tools(), openSource };
}

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

async function load(
  folder: string,
  quantization: "q4" | "q8" = "q4",
  importTools: AdmittingTools = tools(),
) {
  const rows = memoryKeyValue();
  const store = new WeightStore(rows, "memory");
  const request = { location: place(folder), companions: {}, quantization };
  const { manifestKey } = await importModel(request, store, importTools);
  const manifest = await store.readManifest(manifestKey);
  if (!manifest) throw new Error("nothing was stored");
  return { manifest, store, rows };
}
