// Decides what kind of source a location is; nobody else asks.
import type { SourceLocation } from "../base/source-location.ts";
import { collectDirectory, collectFiles, createFileSource } from "./file-source.ts";
import type { HttpOptions } from "./fetch-range.ts";
import { createHubSource, createUrlSource } from "./http-source.ts";
import type { CheckpointSource } from "./source.ts";

/** How a source talks to servers. */
export interface SourceOptions extends HttpOptions {
  /** Base address of the hub. Default https://huggingface.co */
  readonly hubUrl?: string;
}

/** Opens a source. A hub or URL is not contacted before the first read. */
export async function openSource(
  location: SourceLocation,
  { hubUrl = "https://huggingface.co", ...http }: SourceOptions = {},
): Promise<CheckpointSource> {
  switch (location.kind) {
    case "hub":
      return createHubSource(location, hubUrl, http);
    case "url":
      return createUrlSource(location.url, http);
    case "files":
      return createFileSource(await collectFiles(location.files));
    case "directory":
      return createFileSource(await collectDirectory(location.handle));
    default:
      return location satisfies never;
  }
}
