// Repositories that a model needs beside its own, such as the VAE of JanusFlow.
import type { SourceInput } from "../base/source-location.ts";
import { parseSource } from "../base/source-location.ts";
import type { SourceOptions } from "./open-source.ts";
import type { CheckpointSource, ReadOptions } from "./source.ts";
import { openSource } from "./open-source.ts";

/** Where to look for one companion. */
export interface CompanionRequest {
  /** Its id, and the subfolder that is looked for: "vae". */
  readonly name: string;
  /** The model's own files. */
  readonly source: CheckpointSource;
  /** What the user asked for. */
  readonly override?: SourceInput | undefined;
  /** Hub id of what the model's authors use. */
  readonly repository: string;
  /** What shows that the subfolder is there; default: its config.json. */
  readonly files?: readonly string[];
}

/**
 * The source of a companion: what the user named, else the subfolder of that name beside the model, else
 * what the model's authors use.
 */
export async function openCompanion(
  { name, source, override, repository, files = ["config.json"] }: CompanionRequest,
  sourceOptions: SourceOptions,
  options: ReadOptions = {},
): Promise<CheckpointSource> {
  if (override !== undefined) return openSource(parseSource(override), sourceOptions);
  for (const file of files) {
    if (await source.has(`${name}/${file}`, options)) return source.at(name);
  }
  return openSource(parseSource(repository), sourceOptions);
}
