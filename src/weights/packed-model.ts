// A model that was converted before it was published: our own shards and their manifest, in a folder beside
// the side files. Loading one fetches, checks and stores; nothing is converted.
import { present } from "../base/assert.ts";
import { fail } from "../base/errors.ts";
import type { ModelError } from "../base/errors.ts";
import type { Quantization } from "../base/dtype.ts";
import type { LoadProgress } from "../base/events.ts";
import { readSideFiles } from "./checkpoint.ts";
import { sha256 } from "./hash.ts";
import { install, journalledSink, storedShards } from "./journal.ts";
import type { Json } from "./json-file.ts";
import { isJsonObject, parseJsonObject } from "./json-file.ts";
import type { Manifest, ShardRef } from "./manifest.ts";
import { parseManifest } from "./manifest.ts";
import { createPace } from "./pace.ts";
import type { RangeRequest } from "./read-ahead.ts";
import { readSlices } from "./read-ahead.ts";
import type { CheckpointSource, ReadOptions } from "./source.ts";
import type { WeightStore } from "./weight-store.ts";

/** What to bring from where. */
export interface PackedRequest {
  readonly manifest: Manifest;
  readonly source: CheckpointSource;
  readonly store: WeightStore;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** How often a shard with a wrong hash is fetched again. */
const MORE_ATTEMPTS = 2;
/** Which file says that there are converted weights: the first of these. */
const CONFIGS = ["config.json", "model_index.json"];
const MARK = "web_umm_converted";
/** Key of a published manifest's own hash. */
const HASH = "sha256";
/** A folder has few side files. */
const MAX_FILES = 64;
const SAFE_PATH = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/;

/** Folder of the shards of one quantization. */
export function packedFolder(quantization: Quantization): string {
  return `web-umm-${quantization}`;
}

/** Quantizations that a configuration says its folder holds converted: a key that only `convert` writes. */
export function packedQuantizations(config: Json): readonly Json[] {
  const marks = isJsonObject(config) ? config[MARK] : undefined;
  return Array.isArray(marks) ? marks : [];
}

/**
 * Side files of which the configuration says so: thus a visitor asks for no file that is not there.
 *
 * @param before - the configuration that the folder holds already, with what it says
 */
export function markPacked(
  files: Readonly<Record<string, string>>,
  quantization: Quantization,
  before: (path: string) => string | undefined,
): Record<string, string> {
  const path = CONFIGS.find((name) => Object.hasOwn(files, name));
  if (path === undefined) return { ...files };
  const config = parseJsonObject(files[path] ?? "", path);
  const known = [config, parseJsonObject(before(path) ?? "{}", path)].flatMap(packedQuantizations);
  const marks = new Set([...known, quantization].map(String));
  const text = JSON.stringify({ ...config, [MARK]: [...marks].toSorted() }, null, 2);
  return { ...files, [path]: `${text}\n` };
}

/** Path of a shard. */
export function packedShard(folder: string, { hash }: ShardRef): string {
  return `${folder}/${hash}.bin`;
}

/**
 * The manifest as it is published: without what belongs to one device, side files by their hash, all under a hash
 * of its own, so that nothing of the model may change on the way without being noticed.
 *
 * @returns its text; the same model gives the same text
 */
export async function packManifest(manifest: Manifest): Promise<string> {
  const { key: _key, createdAt: _createdAt, packed: _packed, files, ...rest } = manifest;
  const hashes: Record<string, string> = {};
  for (const path of Object.keys(files).toSorted()) {
    hashes[path] = await fingerprint(path, files[path] ?? "");
  }
  const content = { ...rest, files: hashes };
  return `${JSON.stringify({ ...content, [HASH]: await hashOf(content) })}\n`;
}

/**
 * The manifest of a folder's converted model, as the store would hold it.
 *
 * @param key - what the model is to be stored under
 * @throws ModelError checkpoint-invalid when it contradicts itself or the files beside it
 */
export async function readPackedManifest(
  source: CheckpointSource,
  { key, quantization }: Pick<Manifest, "key" | "quantization">,
  options: ReadOptions = {},
): Promise<Manifest> {
  const packed = packedFolder(quantization);
  const path = `${packed}/manifest.json`;
  const texts = await readSideFiles(source, [{ name: path, isRequired: true }], options);
  const { [HASH]: own, ...json } = parseJsonObject(texts[path] ?? "", path);
  if ((await hashOf(json)) !== own) throw invalid(path, "is damaged, or was changed by hand");
  const hashes = Object.entries(isJsonObject(json["files"]) ? json["files"] : {});
  if (hashes.length > MAX_FILES) throw invalid(path, `names ${hashes.length} files`);
  const unsafe = hashes.find(([name]) => !SAFE_PATH.test(name));
  if (unsafe) throw invalid(path, `names the file ${JSON.stringify(unsafe[0])}`);
  const wanted = hashes.map(([name]) => ({ name, isRequired: true }));
  const files = await readSideFiles(source, wanted, options);
  for (const [name, hash] of hashes) {
    const isSame = (await fingerprint(name, files[name] ?? "")) === hash;
    if (!isSame) throw invalid(path, `was made with another ${name}`);
  }
  const place = { key, packed, source: source.id, revision: source.revision };
  const manifest = parseManifest({ ...json, ...place, files, createdAt: Date.now() });
  if (manifest?.quantization === quantization) return manifest;
  throw invalid(path, "is none, or of another version of web-umm");
}

/**
 * Fetches and stores the shards of a converted model, then its manifest. What is stored already is kept.
 *
 * @throws ModelError checkpoint-invalid when a shard is not what the manifest says; those of the store
 */
export async function installPacked(request: PackedRequest): Promise<Manifest> {
  const { manifest, store } = request;
  const { key, shards, totalBytes } = manifest;
  const plan = await sha256(JSON.stringify(["packed", shards]));
  const { shards: done } = await storedShards(
    store,
    key,
    plan,
    ({ hash, bytes }, index) => shards[index]?.hash === hash && shards[index].bytes === bytes,
  );
  const put = journalledSink(store, { key, plan, shards: done, totalBytes });
  await fetchShards(request, shards.slice(done.length), put);
  await install(store, manifest, plan, (hashes) => repairPacked({ ...request, hashes }));
  return manifest;
}

/** Fetches damaged or missing shards again. @throws ModelError checkpoint-invalid | download-failed */
export async function repairPacked(
  request: PackedRequest & { readonly hashes: readonly string[] },
): Promise<void> {
  const damaged = new Set(request.hashes);
  const shards = request.manifest.shards.filter(({ hash }) => damaged.has(hash));
  await fetchShards(request, shards, async (_, bytes) => {
    await request.store.put(bytes, { replace: true });
  });
}

async function fetchShards(
  { manifest, source, signal, onProgress }: PackedRequest,
  shards: readonly ShardRef[],
  sink: (shard: number, bytes: Uint8Array<ArrayBuffer>) => Promise<void>,
): Promise<void> {
  const folder = manifest.packed ?? packedFolder(manifest.quantization);
  const requests = shards.map((shard) => wholeFile(packedShard(folder, shard), shard.bytes));
  const totalBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const pace = createPace({ phase: "download", totalBytes, onProgress });
  const onBytes = (count: number, file: string): void => pace.add(count, file);
  let index = 0;
  try {
    for await (const slice of readSlices(requests, { sources: { "": source }, signal, onBytes })) {
      signal?.throwIfAborted();
      const shard = present(shards[index], "shard");
      const first = new Uint8Array(slice);
      const again = (): Promise<Uint8Array<ArrayBuffer>> =>
        source.readRange(packedShard(folder, shard), 0, shard.bytes, signal ? { signal } : {});
      await sink(index++, await checkedShard(first, shard, again));
    }
    pace.finish(folder);
  } finally {
    source.close();
  }
}

// What is not what the manifest says is fetched again before anyone is told: bits do flip on the way.
async function checkedShard(
  first: Uint8Array<ArrayBuffer>,
  { hash }: ShardRef,
  again: () => Promise<Uint8Array<ArrayBuffer>>,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes = first;
  for (let attempt = 1; (await sha256(bytes)) !== hash; attempt++) {
    if (attempt > MORE_ATTEMPTS) {
      throw fail(
        "checkpoint-invalid",
        `The shard ${hash.slice(0, 12)} is not what its manifest says, ${attempt} times. It is damaged where it is published: convert the model again.`,
        { shard: hash },
      );
    }
    bytes = await again();
  }
  return bytes;
}

// Of a configuration what it says, without our mark: the folder may come to hold more quantizations.
async function fingerprint(path: string, text: string): Promise<string> {
  if (!CONFIGS.includes(path)) return sha256(text);
  const { [MARK]: _mark, ...config } = parseJsonObject(text, path);
  return sha256(JSON.stringify(config));
}

function hashOf(content: object): Promise<string> {
  return sha256(JSON.stringify(content));
}

function wholeFile(file: string, bytes: number): RangeRequest {
  const slice = { firstRow: 0, rows: 0, start: 0, end: bytes };
  return { companion: "", file, start: 0, end: bytes, slices: [slice] };
}

function invalid(file: string, what: string): ModelError {
  return fail("checkpoint-invalid", `${file} ${what}. Convert the model again.`, { file });
}
