// A model's configuration without its weights: which family it is, and what the family reads.
import { fileURLToPath } from "node:url";
import { ModelError } from "../base/errors.ts";
import type { SourceLocation } from "../base/source-location.ts";
import { parseFiles } from "../engine/checkpoint-files.ts";
import type { KnownModel } from "../engine/known-model.ts";
import type { Family, TensorNames } from "../models/family.ts";
import { detectFamily } from "../models/registry.ts";
import { openCheckpoint, readSideFiles, type WantedFile } from "../weights/checkpoint.ts";
import { readConfigFile } from "../weights/config-file.ts";
import { openCompanion } from "../weights/companion.ts";
import { parseJson } from "../weights/json-file.ts";
import { openSource } from "../weights/open-source.ts";
import type { SourceOptions } from "../weights/open-source.ts";
import type { CheckpointSource } from "../weights/source.ts";
import { openDiskSource } from "./disk-source.ts";

/** Opens folders of this machine beside everything that a browser can open. */
export const openAnywhere: typeof openSource = (location, options) => {
  const isFolder = location.kind === "url" && location.url.startsWith("file:");
  return isFolder ? openDiskSource(fileURLToPath(location.url)) : openSource(location, options);
};

/**
 * Stands for the names of a checkpoint that nobody has looked at: every tensor that a family may ask for is
 * there.
 */
export class EveryName extends Set<string> {
  override has(): boolean {
    return true;
  }
}

/**
 * Reads config.json and what the family reads beside it, where it is there, and the names in the headers of
 * the weights; without weights every name is taken to be there.
 *
 * @throws ModelError of detectFamily, of the family's parser, and of the reads
 */
export async function readModelConfig(
  location: SourceLocation,
  options: SourceOptions = {},
): Promise<KnownModel> {
  const source = await openAnywhere(location, options);
  try {
    const own = await readConfigFile(source);
    const family = await detectFamily(parseJson(own.text, own.name));
    const rest = await readSideFiles(source, optional(family.sideFiles));
    const files = { ...rest, [own.name]: own.text };
    for (const [name, { repository, sideFiles }] of Object.entries(family.companions)) {
      const companion = await openCompanion({ name, source, repository }, options);
      const texts = await readSideFiles(companion, optional(sideFiles));
      for (const [path, text] of Object.entries(texts)) files[`${name}/${path}`] = text;
    }
    const config = family.parse(parseFiles(files), await tensorNames(source, family));
    return { source: source.id, family, config };
  } finally {
    source.close();
  }
}

// What the headers of the weights name, where there are weights: no config tells which of two layouts it is.
async function tensorNames(source: CheckpointSource, family: Family): Promise<TensorNames> {
  try {
    const { weightFiles = [] } = family;
    const { tensors } = await openCheckpoint(source, { weightFiles });
    return new Set(tensors.keys());
  } catch (error) {
    if (ModelError.isModelError(error)) return new EveryName();
    throw error;
  }
}

function optional(files: readonly WantedFile[]): WantedFile[] {
  return files.map((file) => ({ ...file, isRequired: false }));
}
