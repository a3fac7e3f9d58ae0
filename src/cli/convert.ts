// `web-umm convert <in> <out>`: the browser's importer in Node. The folder that it writes is loaded by the
// library as it is, without converting anything.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Quantization } from "../base/dtype.ts";
import type { LoadProgress } from "../base/events.ts";
import type { FetchLike } from "../base/wire-fetch.ts";
import type { SourceLocation } from "../base/source-location.ts";
import { parseSource } from "../base/source-location.ts";
import { importModel } from "../engine/import-model.ts";
import type { ImportOutcome } from "../engine/loader.ts";
import { openPackedStore } from "./packed-store.ts";
import { openAnywhere } from "./read-config.ts";

/** What to convert. */
export interface ConvertRequest {
  /** A folder of this machine, a hub id, or a URL. */
  readonly from: string;
  readonly to: string;
  readonly quantization: Quantization;
  /** Where companions come from, by their id. */
  readonly companions: Readonly<Record<string, string>>;
  readonly hubUrl?: string | undefined;
  /** Default: the platform's. */
  readonly fetch?: FetchLike | undefined;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Converts a model, or goes on where an earlier conversion was stopped.
 *
 * @throws RangeError for an input that names nothing
 * @throws ModelError of the import
 */
export async function convert(request: ConvertRequest): Promise<ImportOutcome> {
  const { from, to, quantization, hubUrl, fetch, onProgress, signal } = request;
  const location = locate(from);
  const companions = Object.entries(request.companions).map(
    ([name, place]) => [name, locate(place)] as const,
  );
  return importModel(
    {
      location,
      companions: Object.fromEntries(companions),
      quantization,
      ...(hubUrl === undefined ? {} : { hubUrl }),
    },
    await openPackedStore(to, quantization),
    {
      ...(fetch === undefined ? {} : { fetch }),
      onProgress,
      signal: signal ?? new AbortController().signal,
      openSource: openAnywhere,
    },
  );
}

/**
 * A folder of this machine if there is one of that name, else what the library makes of it: a hub id or a URL.
 *
 * @throws RangeError for anything else
 */
export function locate(place: string): SourceLocation {
  if (existsSync(place)) return parseSource(pathToFileURL(resolve(place)));
  if (/^[./~]/.test(place)) throw new RangeError(`There is no folder ${resolve(place)}.`);
  return parseSource(place);
}
