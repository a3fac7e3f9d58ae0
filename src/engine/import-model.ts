// From a published checkpoint to stored weights, in the order in which it happens: is it stored already,
// which family is it, what does the family need, fetch and store that.
import type { Quantization } from "../base/dtype.ts";
import { fail, ModelError } from "../base/errors.ts";
import type { SourceLocation } from "../base/source-location.ts";
import type { Family } from "../models/family.ts";
import { detectFamily, familyById } from "../models/registry.ts";
import { openCheckpoint, readSideFiles } from "../weights/checkpoint.ts";
import type { Checkpoint } from "../weights/checkpoint.ts";
import { openCompanion } from "../weights/companion.ts";
import { readConfigFile } from "../weights/config-file.ts";
import type { FetchReason } from "../weights/download-error.ts";
import { reasonOf } from "../weights/download-error.ts";
import { importCheckpoint, repairShards } from "../weights/import-checkpoint.ts";
import { parseJson } from "../weights/json-file.ts";
import { manifestKey } from "../weights/manifest.ts";
import type { Manifest } from "../weights/manifest.ts";
import { openSource as openAnySource } from "../weights/open-source.ts";
import {
  installPacked,
  packedQuantizations,
  readPackedManifest,
  repairPacked,
} from "../weights/packed-model.ts";
import type { SourceOptions } from "../weights/open-source.ts";
import type { CheckpointSource, ReadOptions } from "../weights/source.ts";
import type { WeightStore } from "../weights/weight-store.ts";
import { checkConverted } from "./check-converted.ts";
import { parseFiles } from "./checkpoint-files.ts";
import { manifestModel } from "./known-model.ts";
import type { KnownModel } from "./known-model.ts";
import type { ImportOutcome, ImportRequest, ImportTools } from "./loader.ts";
import { storeOnce } from "./store-once.ts";

/** {@link ImportTools}, and who is asked whether a model is welcome. */
export interface AdmittingTools extends ImportTools {
  /** Told the model before a byte of its weights is fetched; what it throws ends the import. */
  readonly admit?: (model: KnownModel) => Promise<void>;
}

/** What a second attempt from the start may mend: the host changed a file, or something did on the way. */
const WORTH_ANOTHER: ReadonlySet<string | undefined> = new Set<FetchReason>(["changed", "damaged"]);

/**
 * Stores a checkpoint, unless it is stored. Files that changed while they were read are read once more.
 *
 * @throws RangeError for a companion that the family does not have
 * @throws ModelError of detectFamily, of the family's parser, and of importCheckpoint
 */
export async function importModel(
  request: ImportRequest,
  store: WeightStore,
  tools: AdmittingTools,
): Promise<ImportOutcome> {
  try {
    return await importOnce(request, store, tools);
  } catch (error) {
    if (!WORTH_ANOTHER.has(reasonOf(error))) throw error;
    return importOnce(request, store, tools);
  }
}

async function importOnce(
  request: ImportRequest,
  store: WeightStore,
  tools: AdmittingTools,
): Promise<ImportOutcome> {
  const opened = await open(request, tools);
  const { key, source } = opened;
  const { quantization } = request;
  try {
    const once = { key, store, ...tools };
    const { manifest, alreadyStored } = await storeOnce(once, () =>
      fetchModel(quantization, opened, store, tools),
    );
    return outcomeOf(manifest, alreadyStored);
  } finally {
    source.close();
  }
}

/**
 * Checks every byte of a stored model, and fetches again what is damaged or gone, be it all of it.
 *
 * @throws ModelError weights-corrupt when the source no longer has these weights; those of importCheckpoint
 */
export async function repairModel(
  request: ImportRequest,
  store: WeightStore,
  tools: ImportTools,
): Promise<void> {
  const { key } = await open(request, tools);
  const manifest = await store.readManifest(key);
  if (!manifest) {
    // Site data was cleared, or the manifest itself is damaged: that is a model that is not stored.
    await importModel(request, store, tools);
    return;
  }
  const hashes = await damagedShards(manifest, store, tools.signal);
  if (hashes.length === 0) return;
  const { source, ...opened } = await open(pinRequest(request, manifest), tools);
  const { onProgress, signal } = tools;
  if (manifest.packed !== undefined) {
    await repairPacked({ manifest, hashes, source, store, onProgress, signal });
    return;
  }
  const family = pinFamily(await familyById(manifest.family), manifest);
  const companions = await openCompanions(family, { source, ...opened }, tools);
  const sources = { ...companions, "": source };
  await repairShards({ manifest, hashes, sources, store, onProgress, signal });
}

interface Opened {
  readonly source: CheckpointSource;
  /** Companions that the user named. */
  readonly chosen: Readonly<Record<string, CheckpointSource>>;
  readonly sourceOptions: SourceOptions;
}

// Nothing is contacted yet.
async function open(
  { location, companions, quantization, hubUrl }: ImportRequest,
  { fetch, openSource = openAnySource }: ImportTools,
): Promise<Opened & { readonly key: string }> {
  const sourceOptions = { fetch, ...(hubUrl === undefined ? {} : { hubUrl }) };
  const source = await openSource(location, sourceOptions);
  const chosen: Record<string, CheckpointSource> = {};
  for (const [name, companion] of Object.entries(companions)) {
    chosen[name] = await openSource(companion, sourceOptions);
  }
  const ids = Object.fromEntries(Object.entries(chosen).map(([name, { id }]) => [name, id]));
  const key = await manifestKey({ source: source.id, quantization, companions: ids });
  return { source, chosen, sourceOptions, key };
}

async function fetchModel(
  quantization: Quantization,
  opened: Opened & { readonly key: string },
  store: WeightStore,
  tools: AdmittingTools,
): Promise<Manifest> {
  const { source, key } = opened;
  const { onProgress, signal } = tools;
  const resolving = { loadedBytes: 0, totalBytes: 0, bytesPerSecond: 0 };
  onProgress({ phase: "resolve", file: "config.json", ...resolving });
  const config = await readConfigFile(source, { signal });
  const json = parseJson(config.text, config.name);
  // They were made with companions of their own: of no use to a caller who names others.
  const converted = Object.keys(opened.chosen).length === 0 ? packedQuantizations(json) : [];
  if (converted.includes(quantization)) {
    const manifest = await readPackedManifest(source, { key, quantization }, { signal });
    const model = await manifestModel(manifest);
    checkConverted(model, manifest);
    await tools.admit?.(model);
    return installPacked({ manifest, source, store, onProgress, signal });
  }
  const originals = fetchOriginals(quantization, opened, store, tools, config);
  return originals.catch(withConverted(converted));
}

async function fetchOriginals(
  quantization: Quantization,
  { key, ...opened }: Opened & { readonly key: string },
  store: WeightStore,
  { onProgress, signal, admit }: AdmittingTools,
  config: { readonly name: string; readonly text: string },
): Promise<Manifest> {
  const { source } = opened;
  const family = await detectFamily(parseJson(config.text, config.name));
  const rest = family.sideFiles.filter(({ name }) => name !== config.name);
  const files = { [config.name]: config.text, ...(await readSideFiles(source, rest, { signal })) };
  const companions: Record<string, Checkpoint> = {};
  const sources = await openCompanions(family, opened, { signal });
  for (const [name, companion] of Object.entries(sources)) {
    const { sideFiles = [], weightFiles = [] } = family.companions[name] ?? {};
    const texts = await readSideFiles(companion, sideFiles, { signal });
    for (const [path, text] of Object.entries(texts)) files[`${name}/${path}`] = text;
    companions[name] = await openCheckpoint(companion, { signal, weightFiles });
  }
  const { weightFiles = [] } = family;
  const checkpoint = await openCheckpoint(source, { signal, weightFiles });
  const modelConfig = family.parse(parseFiles(files), new Set(checkpoint.tensors.keys()));
  await admit?.({ source: source.id, family, config: modelConfig });
  const declarations = family.declareWeights(modelConfig, quantization);
  return importCheckpoint({
    key,
    family: family.id,
    checkpoint,
    companions,
    declarations,
    quantization,
    files,
    store,
    onProgress,
    signal,
  });
}

// A folder of converted weights alone holds no others.
function withConverted(quantizations: readonly unknown[]): (error: unknown) => never {
  return (error) => {
    const isInvalid = ModelError.isModelError(error) && error.code === "checkpoint-invalid";
    if (!isInvalid || quantizations.length === 0) throw error;
    const offer = `It holds the model converted to ${quantizations.join(" and ")}: ask for that quantization.`;
    throw fail(error.code, `${error.message} ${offer}`, error.details, error);
  };
}

async function openCompanions(
  { id, companions }: Pick<Family, "id" | "companions">,
  { source, chosen, sourceOptions }: Opened,
  options: ReadOptions,
): Promise<Record<string, CheckpointSource>> {
  const known = Object.keys(companions);
  const unknown = Object.keys(chosen).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const has = known.length === 0 ? "none" : known.join(", ");
    throw new RangeError(`A ${id} model has no companion "${unknown}"; it has ${has}.`);
  }
  const sources: Record<string, CheckpointSource> = {};
  for (const [name, { repository, sideFiles, weightFiles = [] }] of Object.entries(companions)) {
    const files = [...sideFiles.map((side) => side.name), ...weightFiles.map(({ file }) => file)];
    sources[name] =
      chosen[name] ??
      (await openCompanion({ name, source, repository, files }, sourceOptions, options));
  }
  return sources;
}

// The commits that were stored: branches may have moved on.
function pinRequest(request: ImportRequest, { revision, companions }: Manifest): ImportRequest {
  const pinned = Object.entries(request.companions).map(
    ([name, location]) => [name, pin(location, companions[name]?.revision)] as const,
  );
  return {
    ...request,
    location: pin(request.location, revision),
    companions: Object.fromEntries(pinned),
  };
}

function pin(location: SourceLocation, revision = ""): SourceLocation {
  return location.kind === "hub" && revision !== "" ? { ...location, revision } : location;
}

function pinFamily(family: Family, manifest: Manifest): Pick<Family, "id" | "companions"> {
  const pinned = Object.entries(family.companions).map(([name, companion]) => {
    const revision = manifest.companions[name]?.revision ?? "";
    const suffix = revision === "" ? "" : `@${revision}`;
    return [name, { ...companion, repository: companion.repository + suffix }] as const;
  });
  return { id: family.id, companions: Object.fromEntries(pinned) };
}

async function damagedShards(
  { shards }: Manifest,
  store: WeightStore,
  signal: AbortSignal,
): Promise<string[]> {
  const damaged: string[] = [];
  for (const shard of shards) {
    signal.throwIfAborted();
    try {
      await store.get(shard);
    } catch (error) {
      if (!ModelError.isModelError(error) || error.code !== "weights-corrupt") throw error;
      damaged.push(shard.hash);
    }
  }
  return damaged;
}

function outcomeOf(
  { key, family, totalBytes, source, revision }: Manifest,
  alreadyStored: boolean,
): ImportOutcome {
  return { manifestKey: key, family, storedBytes: totalBytes, alreadyStored, source, revision };
}
