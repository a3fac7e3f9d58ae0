// A model that is known by its files and not by its weights: which family it is, and what the family reads.
import type { CheckpointFiles, Family, TensorNames } from "../models/family.ts";
import { familyById } from "../models/registry.ts";
import type { Manifest } from "../weights/manifest.ts";
import { parseFiles } from "./checkpoint-files.ts";

/** A model that is known by its configuration. */
export interface KnownModel {
  /** Id of the source. */
  readonly source: string;
  readonly family: Family;
  /** What the family's parser made of the files. */
  readonly config: unknown;
}

/**
 * The model that a manifest describes.
 *
 * @throws ModelError unsupported-model | checkpoint-invalid, of the registry and of the family's parser
 */
export async function manifestModel(
  manifest: Pick<Manifest, "source" | "family" | "files" | "recipes">,
): Promise<KnownModel & { readonly files: CheckpointFiles }> {
  const family = await familyById(manifest.family);
  const files = parseFiles(manifest.files);
  const config = family.parse(files, tensorNames(manifest));
  return { source: manifest.source, family, config, files };
}

function tensorNames({ recipes }: Pick<Manifest, "recipes">): TensorNames {
  return new Set(recipes.filter(({ companion }) => companion === "").map(({ tensor }) => tensor));
}
