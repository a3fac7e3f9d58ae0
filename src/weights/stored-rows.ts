// The small rows of the weight store, read as if a stranger had written them.
import type { Quantization } from "../base/dtype.ts";
import { sha256 } from "./hash.ts";
import type { ShardRef } from "./manifest.ts";

/** What can be said about an installed model without reading its manifest. */
export interface InstalledModel {
  readonly key: string;
  readonly source: string;
  readonly revision: string;
  readonly family: string;
  readonly quantization: Quantization;
  readonly totalBytes: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** Never deleted to make room. Absent: false. */
  readonly isPinned?: boolean;
}

/** The row of an {@link InstalledModel}. */
export interface InfoRow extends InstalledModel {
  /** SHA-256 of the manifest: a large row may rot on disk as any shard does. */
  readonly manifestHash: string;
}

/** How far an import got, as it is written. Shards are complete from the first one on. */
export interface Journal {
  /** Hash of everything that decides the bytes: another plan starts from zero. */
  readonly plan: string;
  readonly shards: readonly ShardRef[];
  /** Of an import whose files are proved; see reading-proof.ts. */
  readonly proof?: ProofMarks | undefined;
  readonly updatedAt: number;
}

/** The row of a {@link Journal}. */
export interface JournalRow extends Journal {
  /** Of all but the time: shards in another order would be another model. */
  readonly journalHash: string;
}

/** How far a file is hashed. */
export interface HashState {
  readonly companion: string;
  readonly file: string;
  readonly position: number;
  /** Of the hasher, after `position` bytes; hexadecimal. */
  readonly state: string;
}

/** States at the beginning of the job that wrote the last shard, and after all that it read. */
export interface ProofMarks {
  readonly before?: HashState;
  readonly after?: HashState;
}

/** True for a row of {@link InfoRow}. */
export function isInfoRow(value: unknown): value is InfoRow {
  return (
    isRecord(value) &&
    ["key", "source", "revision", "family", "quantization", "manifestHash"].every(
      (name) => typeof value[name] === "string",
    ) &&
    ["totalBytes", "createdAt", "lastUsedAt"].every((name) => Number.isFinite(value[name])) &&
    ["undefined", "boolean"].includes(typeof value["isPinned"])
  );
}

/** SHA-256 of what a journal says. */
export function hashOfJournal({ plan, shards, proof }: Journal): Promise<string> {
  const listed = shards.map(({ hash, bytes }) => [hash, bytes]);
  const states = [proof?.before, proof?.after].map(
    (mark) => mark && [mark.companion, mark.file, mark.position, mark.state],
  );
  return sha256(JSON.stringify([plan, listed, states]));
}

/** True for a row of {@link JournalRow}. */
export function isJournal(value: unknown): value is JournalRow {
  return (
    isRecord(value) &&
    typeof value["plan"] === "string" &&
    typeof value["journalHash"] === "string" &&
    Number.isFinite(value["updatedAt"]) &&
    Array.isArray(value["shards"]) &&
    value["shards"].every(isShardRef) &&
    (value["proof"] === undefined || isProofMarks(value["proof"]))
  );
}

function isProofMarks(value: unknown): value is ProofMarks {
  const isState = (state: unknown): boolean => state === undefined || isHashState(state);
  return isRecord(value) && isState(value["before"]) && isState(value["after"]);
}

function isHashState(value: unknown): value is HashState {
  return (
    isRecord(value) &&
    typeof value["companion"] === "string" &&
    typeof value["file"] === "string" &&
    Number.isSafeInteger(value["position"]) &&
    typeof value["state"] === "string"
  );
}

/** Hashes that a manifest or a journal names, whatever else may be wrong with it. */
export function hashesOf(row: unknown): string[] {
  const shards = isRecord(row) && Array.isArray(row["shards"]) ? row["shards"] : [];
  return shards.filter(isShardRef).map(({ hash }) => hash);
}

/** Bytes of a shard by its index row. */
export function bytesOf(row: unknown): number {
  return isRecord(row) && typeof row["bytes"] === "number" ? row["bytes"] : 0;
}

function isShardRef(value: unknown): value is ShardRef {
  return isRecord(value) && typeof value["hash"] === "string" && Number.isFinite(value["bytes"]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
