// What the store knows about an installed model. Written last: shards without a manifest do not exist.
// Read as if a stranger had written it: anything unexpected means "not installed".
import type { Quantization } from "../base/dtype.ts";
import { sha256 } from "./hash.ts";
import type { Piece, StoredTensor } from "./layout.ts";
import { partBytes } from "./layout.ts";
import type { WeightRecipe } from "./recipe.ts";

/** Changes whenever bytes in shards or fields here change their meaning. */
export const MANIFEST_VERSION = 1;

/** Most bytes of a shard: larger values make browsers fail (some at 127 MiB), and are never written here. */
export const MAX_SHARD_BYTES: number = 64 * 1024 * 1024;
/** 6.4 TB. */
const MAX_SHARDS = 100_000;
const MAX_RANK = 16;

/** One stored shard. */
export interface ShardRef {
  /** SHA-256 of its bytes, lowercase hex; also its key in the store. */
  readonly hash: string;
  readonly bytes: number;
}

/** Where an installed model came from. */
export interface Provenance {
  /** Id of the source as the user named it. */
  readonly source: string;
  /** Commit that was read, where the host tells one. */
  readonly revision: string;
}

/** An installed model. */
export interface Manifest extends Provenance {
  readonly version: typeof MANIFEST_VERSION;
  /** {@link manifestKey} */
  readonly key: string;
  readonly family: string;
  readonly quantization: Quantization;
  readonly companions: Readonly<Record<string, Provenance>>;
  /** Side files as text, by path; a companion's under `<companion>/`. */
  readonly files: Readonly<Record<string, string>>;
  readonly tensors: readonly StoredTensor[];
  /** How the bytes were made, in stream order: enough to make any shard again. */
  readonly recipes: readonly WeightRecipe[];
  /** Bytes of every shard but the last. */
  readonly shardBytes: number;
  readonly shards: readonly ShardRef[];
  readonly totalBytes: number;
  /** Folder of the source that holds the shards themselves, for models that were converted before. */
  readonly packed?: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** What a model is stored under: known before anything is fetched, so that a second load fetches nothing. */
export interface ManifestIdentity {
  /** `CheckpointSource.id` */
  readonly source: string;
  readonly quantization: Quantization;
  /** Ids of the companions' sources that the user chose; those left to the family are absent. */
  readonly companions?: Readonly<Record<string, string>>;
}

/** The key of a model in the store. */
export function manifestKey({
  source,
  quantization,
  companions = {},
}: ManifestIdentity): Promise<string> {
  const chosen = Object.entries(companions).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify([source, quantization, chosen]));
}

/** SHA-256 over all of a manifest: its row is large enough to rot on disk without the database noticing. */
export function hashOfManifest(manifest: Manifest): Promise<string> {
  return sha256(JSON.stringify(manifest));
}

/** The value as a manifest, or undefined when it is anything else, of another version, or contradicts itself. */
export function parseManifest(value: unknown): Manifest | undefined {
  return isManifest(value) ? value : undefined;
}

function isManifest(value: unknown): value is Manifest {
  return (
    isRecord(value) &&
    value["version"] === MANIFEST_VERSION &&
    hasTexts(value, ["key", "source", "revision", "family"]) &&
    hasCounts(value, ["totalBytes", "createdAt", "shardBytes"]) &&
    ["string", "undefined"].includes(typeof value["packed"]) &&
    isOneOf(value["quantization"], ["f32", "f16", "q8", "q4"]) &&
    isMap(value["files"], (text) => typeof text === "string") &&
    isMap(value["companions"], isProvenance) &&
    isList(value["recipes"], isRecipe) &&
    areShards(value["shards"], value) &&
    areTensors(value["tensors"], value["shards"])
  );
}

function areShards(shards: unknown, manifest: Record<string, unknown>): shards is ShardRef[] {
  if (!isList(shards, isShard) || shards.length > MAX_SHARDS) return false;
  const isFull = shards.every(
    ({ bytes }, index) =>
      bytes === manifest["shardBytes"] || (index === shards.length - 1 && bytes > 0),
  );
  return isFull && bytesIn(shards) === manifest["totalBytes"];
}

function isShard(value: unknown): value is ShardRef {
  return (
    isRecord(value) &&
    isHash(value["hash"]) &&
    hasCounts(value, ["bytes"]) &&
    Number(value["bytes"]) <= MAX_SHARD_BYTES
  );
}

// Together they are exactly as large as the shards: nothing is read twice, nothing is larger than the model.
function areTensors(value: unknown, shards: readonly ShardRef[]): value is StoredTensor[] {
  const isOne = (tensor: unknown): tensor is StoredTensor => isTensor(tensor, shards);
  if (!isList(value, isOne)) return false;
  const bytes = value.reduce((sum, { pieces }) => sum + bytesIn(pieces), 0);
  return bytes === bytesIn(shards) && new Set(value.map(({ name }) => name)).size === value.length;
}

function isTensor(value: unknown, shards: readonly ShardRef[]): value is StoredTensor {
  if (!isRecord(value) || !hasTexts(value, ["name"])) return false;
  const { dtype, shape, pieces, name } = value;
  if (!isOneOf(dtype, ["f32", "f16", "u8"]) || !isList(shape, isCount)) return false;
  if (shape.length > MAX_RANK || !isList(pieces, isPiece)) return false;
  const isInside = pieces.every(
    ({ shard, shardOffset, bytes }) => shardOffset + bytes <= (shards[shard]?.bytes ?? -1),
  );
  return isInside && bytesIn(pieces) === partBytes({ name: String(name), dtype, shape });
}

function bytesIn(list: readonly { readonly bytes: number }[]): number {
  return list.reduce((sum, { bytes }) => sum + bytes, 0);
}

function isPiece(value: unknown): value is Piece {
  return isRecord(value) && hasCounts(value, ["shard", "shardOffset", "bytes"]);
}

function isRecipe(value: unknown): value is WeightRecipe {
  return (
    isRecord(value) &&
    hasTexts(value, ["key", "tensor", "companion", "file"]) &&
    hasCounts(value, ["start", "end"]) &&
    isOneOf(value["use"], ["linear", "embedding", "plain"]) &&
    isOneOf(value["storage"], ["f32", "f16", "q8", "q4"]) &&
    isOneOf(value["dtype"], ["F64", "F32", "F16", "BF16"]) &&
    isList(value["shape"], isCount)
  );
}

function isProvenance(value: unknown): value is Provenance {
  return isRecord(value) && hasTexts(value, ["source", "revision"]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList<T>(value: unknown, isItem: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.every(isItem);
}

function isMap(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return isRecord(value) && Object.values(value).every(isItem);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isHash(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

function isOneOf<const T extends string>(value: unknown, allowed: readonly T[]): value is T {
  return allowed.some((item) => item === value);
}

function hasTexts(value: Record<string, unknown>, names: readonly string[]): boolean {
  return names.every((name) => typeof value[name] === "string");
}

function hasCounts(value: Record<string, unknown>, names: readonly string[]): boolean {
  return names.every((name) => isCount(value[name]));
}
