// The header of a safetensors file: which tensor is where. Trusts nothing: a header that lies about
// lengths, overlaps, leaves gaps or names a tensor twice is refused before any tensor is read.
import { fail } from "../base/errors.ts";
import type { Json, JsonObject } from "./json-file.ts";
import { isJsonObject, parseJsonObject } from "./json-file.ts";
import type { StretchReader, ReadOptions } from "./source.ts";
import type { TensorDType, TensorEntry } from "./tensor-entry.ts";
import { TENSOR_BYTES } from "./tensor-entry.ts";
import { topLevelKeys } from "./top-level-keys.ts";

/** A quarter of the format's own cap; headers of published files are below 2 MB. */
const MAX_HEADER_BYTES = 25_000_000;
/** Real headers of single files are below 100 KB: one request brings most of them. */
const FIRST_READ_BYTES = 128 * 1024;
/** The largest known checkpoint has some 100 000. */
const MAX_TENSORS = 1_000_000;
const MAX_RANK = 16;

/**
 * Reads the header of a safetensors file.
 *
 * @returns every tensor by name
 * @throws ModelError checkpoint-invalid when the header or the file's length is not what it should be
 */
export async function readSafetensors(
  source: StretchReader,
  file: string,
  options: ReadOptions = {},
): Promise<Map<string, TensorEntry>> {
  const { bytes: first, size } = await source.readPrefix(file, FIRST_READ_BYTES, options);
  const headerBytes = headerLength(first, size, file);
  const end = 8 + headerBytes;
  const header =
    end <= first.length
      ? first.subarray(8, end)
      : joined(first.subarray(8), await source.readRange(file, first.length, end, options));
  return parseSafetensorsHeader(header, { file, size });
}

/**
 * Parses header bytes (without the eight that tell their length).
 *
 * @param size - bytes of the whole file; undefined when unknown, then the end is not checked
 * @throws ModelError checkpoint-invalid
 */
export function parseSafetensorsHeader(
  header: Uint8Array,
  { file, size }: { readonly file: string; readonly size: number | undefined },
): Map<string, TensorEntry> {
  const text = decode(header, file);
  const json = parseJsonObject(text, file);
  checkKeys(text, file);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") checkMetadata(value, file);
    else tensors.set(name, parseEntry(name, value, file, 8 + header.length));
  }
  checkCoverage(tensors, file, 8 + header.length, size);
  return tensors;
}

function headerLength(first: Uint8Array, size: number | undefined, file: string): number {
  if (first.length < 8) throw invalid(file, `has ${first.length} bytes, too few for a header`);
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  const room = size === undefined ? Infinity : size - 8;
  if (length > MAX_HEADER_BYTES || Number(length) > room || length < 2n) {
    throw invalid(
      file,
      `claims a header of ${length} bytes in a file of ${size ?? "unknown"} bytes`,
    );
  }
  return Number(length);
}

function decode(header: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(header);
  } catch (cause) {
    throw invalid(file, "has a header that is not UTF-8", cause);
  }
}

// JSON.parse keeps the last of two equal keys; then the first would go unchecked.
function checkKeys(text: string, file: string): void {
  const seen = new Set<string>();
  for (const key of topLevelKeys(text)) {
    if (seen.has(key)) throw invalid(file, `names "${key}" twice`);
    seen.add(key);
  }
  if (seen.size > MAX_TENSORS) throw invalid(file, `names ${seen.size} tensors`);
}

function checkMetadata(value: Json, file: string): void {
  const isTextMap = isJsonObject(value) && Object.values(value).every((v) => typeof v === "string");
  if (!isTextMap) throw invalid(file, "has a __metadata__ that is not a map of texts");
}

function parseEntry(name: string, value: Json, file: string, dataStart: number): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = isJsonObject(value) ? value : ({} as JsonObject);
  if (typeof dtype !== "string" || !isDType(dtype)) {
    throw invalid(file, `gives "${name}" the unknown dtype ${JSON.stringify(dtype)}`);
  }
  if (!isCounts(shape) || shape.length > MAX_RANK) {
    throw invalid(file, `gives "${name}" the shape ${JSON.stringify(shape)}`);
  }
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw invalid(file, `gives "${name}" the offsets ${JSON.stringify(offsets)}`);
  }
  const [begin = 0, end = 0] = offsets;
  const bytes = shape.reduce((product, count) => product * count, TENSOR_BYTES[dtype]);
  if (!Number.isSafeInteger(bytes) || end - begin !== bytes) {
    throw invalid(file, `gives "${name}" ${end - begin} bytes, its shape needs ${bytes}`);
  }
  return { file, dtype, shape, start: dataStart + begin, end: dataStart + end };
}

function isDType(dtype: string): dtype is TensorDType {
  return Object.hasOwn(TENSOR_BYTES, dtype);
}

function isCounts(value: Json | undefined): value is number[] {
  return (
    Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= 0)
  );
}

// The format: tensors follow each other without gaps and fill the file to its last byte.
function checkCoverage(
  tensors: ReadonlyMap<string, TensorEntry>,
  file: string,
  dataStart: number,
  size: number | undefined,
): void {
  const inOrder = [...tensors].toSorted(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let position = dataStart;
  for (const [name, { start, end }] of inOrder) {
    if (start !== position) {
      const what = start < position ? "overlaps the tensor before it" : "leaves a gap before it";
      throw invalid(file, `has "${name}" at byte ${start}, which ${what} (${position})`);
    }
    position = end;
  }
  if (size !== undefined && position !== size) {
    throw invalid(file, `has ${size} bytes, its header describes ${position}`);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function invalid(file: string, what: string, cause?: unknown): Error {
  return fail(
    "checkpoint-invalid",
    `${file} ${what}. The file is damaged or not a safetensors file; fetch it again.`,
    { file },
    cause,
  );
}
