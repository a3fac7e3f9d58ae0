// A published checkpoint: its side files, and one table of all its tensors, whether they sit in one file or
// in many with an index, in safetensors files or in PyTorch archives, and in what other files a family names.
import { fail, ModelError } from "../base/errors.ts";
import { isAbsence, reasonOf } from "./download-error.ts";
import { isJsonObject, parseJsonObject } from "./json-file.ts";
import { readSafetensors } from "./safetensors.ts";
import type { CheckpointSource, ReadOptions, StretchReader } from "./source.ts";
import type { TensorEntry } from "./tensor-entry.ts";
import { readTorchArchive } from "./torch-archive.ts";

/** An opened checkpoint. Nothing but headers has been read. */
export interface Checkpoint {
  readonly source: CheckpointSource;
  /** Where every tensor is. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** The headers that say so. */
  readonly believed: readonly ReadStretch[];
}

/** Bytes of a file that were read. */
export interface ReadStretch {
  readonly file: string;
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** A file of weights beside those that every checkpoint has (model.safetensors, pytorch_model.bin, ...). */
export interface WeightFile {
  /** Path in the repository: a safetensors file, or a PyTorch archive under any other name. */
  readonly file: string;
  /** Put before the names of its tensors; "" where they differ from those of the other files. */
  readonly prefix: string;
  readonly isRequired: boolean;
  /** Looked for only where the files that every checkpoint has are not there: another layout of the same. */
  readonly isAlternative?: boolean;
}

/** A small file to read. */
export interface WantedFile {
  readonly name: string;
  readonly isRequired: boolean;
  /** Where to look when it is not in its place. */
  readonly elsewhere?: string;
}

/** Which files to look for, and how. */
export interface CheckpointOptions extends ReadOptions {
  readonly weightFiles?: readonly WeightFile[];
}

/** Names under which weights are published, as transformers and diffusers look for them. */
const WEIGHT_FILES = [
  "model.safetensors",
  "diffusion_pytorch_model.safetensors",
  "pytorch_model.bin",
  "diffusion_pytorch_model.bin",
] as const;

/** The index of the largest known checkpoints is below 20 MB. */
const MAX_INDEX_BYTES = 64_000_000;
const MAX_SHARD_FILES = 1_000;
/** Side files: the largest known tokenizer.json is 35 MB. */
const MAX_SIDE_FILE_BYTES = 64_000_000;
/** Headers that are asked for at once. */
const PARALLEL_HEADERS = 4;

const SHARD_FILE =
  /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*\.(safetensors|bin)$/;

/**
 * Finds the weights of a folder and reads their headers.
 *
 * @throws ModelError checkpoint-invalid when there are none or they contradict themselves
 */
export async function openCheckpoint(
  source: CheckpointSource,
  { weightFiles = [], ...options }: CheckpointOptions = {},
): Promise<Checkpoint> {
  const believed: ReadStretch[] = [];
  const headers = recorded(source, believed);
  const tensors = new Map(await readMainFiles(source, headers, options));
  const hasMain = tensors.size > 0;
  for (const { file, prefix, isRequired, isAlternative = false } of weightFiles) {
    if (isAlternative && hasMain) continue;
    const read = (): ReturnType<typeof readTensorTable> => readTensorTable(headers, file, options);
    const table = isRequired ? await read() : await optional(read);
    for (const [name, entry] of table ?? []) add(tensors, prefix + name, entry);
  }
  if (tensors.size === 0) throw noWeights(source);
  return { source, tensors, believed };
}

function recorded(source: StretchReader, stretches: ReadStretch[]): StretchReader {
  return {
    readPrefix: async (file, maxBytes, options) => {
      const prefix = await source.readPrefix(file, maxBytes, options);
      stretches.push({ file, start: 0, bytes: prefix.bytes });
      return prefix;
    },
    readRange: async (file, start, end, options) => {
      const bytes = await source.readRange(file, start, end, options);
      stretches.push({ file, start, bytes });
      return bytes;
    },
  };
}

/**
 * Reads side files (config.json, tokenizer.json, ...) as text, from the place of their name or from elsewhere.
 *
 * @returns text by name; optional files that are not there are left out
 * @throws ModelError checkpoint-invalid when a required file is missing
 */
export async function readSideFiles(
  source: CheckpointSource,
  wanted: readonly WantedFile[],
  options: ReadOptions = {},
): Promise<Record<string, string>> {
  const read = (path: string): Promise<string> =>
    source.readText(path, { ...options, maxBytes: MAX_SIDE_FILE_BYTES });
  const texts = await Promise.all(
    wanted.map(async ({ name, isRequired, elsewhere }) => {
      if (isRequired && elsewhere === undefined) return [name, await read(name)] as const;
      const here = await optional(() => read(name));
      if (here !== undefined || elsewhere === undefined) return [name, here] as const;
      const there = await optional(() => read(elsewhere));
      // what is nowhere says so of its own place
      return [name, there ?? (isRequired ? await read(name) : undefined)] as const;
    }),
  );
  return Object.fromEntries(
    texts.filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** What `read` returns, or undefined when the file is not there. */
async function optional<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    // Some object stores answer 403 for what does not exist; what must be there fails by itself.
    if (isAbsence(error) || isForbidden(error)) return undefined;
    throw error;
  }
}

function isForbidden(error: unknown): boolean {
  return (
    reasonOf(error) === "gated" && ModelError.isModelError(error) && error.details["status"] === 403
  );
}

/** Tensors of the files that every checkpoint has, under the first name that is there. */
async function readMainFiles(
  source: CheckpointSource,
  headers: StretchReader,
  options: ReadOptions,
): Promise<ReadonlyMap<string, TensorEntry>> {
  for (const file of WEIGHT_FILES) {
    const single = await optional(() => readTensorTable(headers, file, options));
    if (single) return single;
    const index = `${file}.index.json`;
    const text = await optional(() =>
      source.readText(index, { ...options, maxBytes: MAX_INDEX_BYTES }),
    );
    if (text !== undefined) return readShards(headers, index, text, options);
  }
  return new Map();
}

/** Tensors of one file. */
function readTensorTable(
  source: StretchReader,
  file: string,
  options: ReadOptions,
): Promise<ReadonlyMap<string, TensorEntry>> {
  const isSafetensors = file.endsWith(".safetensors");
  return isSafetensors
    ? readSafetensors(source, file, options)
    : readTorchArchive(source, file, options);
}

function add(tensors: Map<string, TensorEntry>, name: string, entry: TensorEntry): void {
  const other = tensors.get(name);
  if (other) {
    throw fail(
      "checkpoint-invalid",
      `"${name}" is both in ${other.file} and in ${entry.file}. Keep the files of one checkpoint only.`,
      { tensor: name },
    );
  }
  tensors.set(name, entry);
}

async function readShards(
  source: StretchReader,
  index: string,
  text: string,
  options: ReadOptions,
): Promise<Map<string, TensorEntry>> {
  const fileOf = parseWeightMap(text, index);
  const files = [...new Set(fileOf.values())].toSorted();
  if (files.length > MAX_SHARD_FILES) {
    throw invalidIndex(index, `names ${files.length} files, at most ${MAX_SHARD_FILES} are read`);
  }
  const tables = new Map<string, ReadonlyMap<string, TensorEntry>>();
  for (let at = 0; at < files.length; at += PARALLEL_HEADERS) {
    const group = files.slice(at, at + PARALLEL_HEADERS);
    const read = await Promise.all(group.map((file) => readTensorTable(source, file, options)));
    group.forEach((file, i) => tables.set(file, read[i] ?? new Map()));
  }
  const tensors = new Map<string, TensorEntry>();
  for (const [name, file] of fileOf) {
    const entry = tables.get(file)?.get(name);
    if (!entry) throw invalidIndex(index, `says that "${name}" is in ${file}, where it is not`);
    tensors.set(name, entry);
  }
  return tensors;
}

/** Tensor name -> file. File names may not leave the folder. */
function parseWeightMap(text: string, index: string): Map<string, string> {
  const { weight_map: weightMap } = parseJsonObject(text, index);
  if (!isJsonObject(weightMap)) throw invalidIndex(index, "has no weight_map");
  const format = index.endsWith(".safetensors.index.json") ? "safetensors" : "bin";
  const fileOf = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (typeof file !== "string" || SHARD_FILE.exec(file)?.[1] !== format) {
      throw invalidIndex(
        index,
        `puts "${name}" into ${JSON.stringify(file)}, which is no safe path`,
      );
    }
    fileOf.set(name, file);
  }
  return fileOf;
}

function noWeights(source: CheckpointSource): ModelError {
  return fail(
    "checkpoint-invalid",
    `${source.id} holds no weights: looked for ${WEIGHT_FILES.join(", ")} and their indexes. Check the model's name or pick the folder that holds them.`,
    { source: source.id },
  );
}

function invalidIndex(index: string, what: string): ModelError {
  return fail("checkpoint-invalid", `${index} ${what}. The checkpoint is incomplete or damaged.`, {
    file: index,
  });
}
