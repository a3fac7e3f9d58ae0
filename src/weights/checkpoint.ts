// A published checkpoint: its side files, and one table of all its tensors, whether they sit in one
// safetensors file or in many with an index.
import { fail, ModelError } from "../base/errors.ts";
import { isAbsence, reasonOf } from "./download-error.ts";
import { isJsonObject, parseJsonObject } from "./json-file.ts";
import type { TensorEntry } from "./safetensors.ts";
import { readSafetensors } from "./safetensors.ts";
import type { CheckpointSource, ReadOptions } from "./source.ts";

/** An opened checkpoint. Nothing but headers has been read. */
export interface Checkpoint {
  readonly source: CheckpointSource;
  /** Where every tensor is. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** Names under which weights are published, as transformers and diffusers look for them. */
const WEIGHT_FILES = ["model", "diffusion_pytorch_model"] as const;
const TORCH_FILES = ["pytorch_model.bin", "pytorch_model.bin.index.json"] as const;

/** The index of the largest known checkpoints is below 20 MB. */
const MAX_INDEX_BYTES = 64_000_000;
const MAX_SHARD_FILES = 1_000;
/** Side files: the largest known tokenizer.json is 35 MB. */
const MAX_SIDE_FILE_BYTES = 64_000_000;
/** Headers that are asked for at once. */
const PARALLEL_HEADERS = 4;

const SHARD_FILE = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*\.safetensors$/;

/**
 * Finds the weights of a folder and reads their headers.
 *
 * @throws ModelError checkpoint-invalid when there are none or they contradict themselves
 */
export async function openCheckpoint(
  source: CheckpointSource,
  options: ReadOptions = {},
): Promise<Checkpoint> {
  for (const name of WEIGHT_FILES) {
    const single = await optional(() => readSafetensors(source, `${name}.safetensors`, options));
    if (single) return { source, tensors: single };
    const index = `${name}.safetensors.index.json`;
    const text = await optional(() =>
      source.readText(index, { ...options, maxBytes: MAX_INDEX_BYTES }),
    );
    if (text !== undefined)
      return { source, tensors: await readShards(source, index, text, options) };
  }
  throw await noWeights(source, options);
}

/**
 * Reads side files (config.json, tokenizer.json, ...) as text.
 *
 * @returns text by name; optional files that are not there are left out
 * @throws ModelError checkpoint-invalid when a required file is missing
 */
export async function readSideFiles(
  source: CheckpointSource,
  wanted: readonly { readonly name: string; readonly isRequired: boolean }[],
  options: ReadOptions = {},
): Promise<Record<string, string>> {
  const texts = await Promise.all(
    wanted.map(async ({ name, isRequired }) => {
      const read = (): Promise<string> =>
        source.readText(name, { ...options, maxBytes: MAX_SIDE_FILE_BYTES });
      return [name, isRequired ? await read() : await optional(read)] as const;
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

async function readShards(
  source: CheckpointSource,
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
    const read = await Promise.all(group.map((file) => readSafetensors(source, file, options)));
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
  const fileOf = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (typeof file !== "string" || !SHARD_FILE.test(file)) {
      throw invalidIndex(
        index,
        `puts "${name}" into ${JSON.stringify(file)}, which is no safe path`,
      );
    }
    fileOf.set(name, file);
  }
  return fileOf;
}

async function noWeights(source: CheckpointSource, options: ReadOptions): Promise<ModelError> {
  const looked = WEIGHT_FILES.map((name) => `${name}.safetensors`).join(", ");
  for (const file of TORCH_FILES) {
    if (!(await source.has(file, options))) continue;
    return fail(
      "checkpoint-invalid",
      `${source.id} holds its weights as PyTorch archives (${file}), which are not read. Use a revision or a copy with safetensors files.`,
      { source: source.id, file },
    );
  }
  return fail(
    "checkpoint-invalid",
    `${source.id} holds no weights: looked for ${looked} and their index. Check the model's name or pick the folder that holds them.`,
    { source: source.id },
  );
}

function invalidIndex(index: string, what: string): ModelError {
  return fail("checkpoint-invalid", `${index} ${what}. The checkpoint is incomplete or damaged.`, {
    file: index,
  });
}
