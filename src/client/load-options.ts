// What may be asked of loadModel, and the checks that need no work.
import { checkKeys, integerOption, show } from "../base/check-values.ts";
import type { Quantization } from "../base/dtype.ts";
import type { LoadProgress } from "../base/events.ts";
import type { SourceInput, SourceLocation } from "../base/source-location.ts";
import { parseSource } from "../base/source-location.ts";
import type { FetchLike } from "../base/wire-fetch.ts";
import type { BackendKind } from "../session/runtime.ts";
import type { WorkerFactories } from "./spawn.ts";
import { spawnEngine, spawnLoader } from "./spawn.ts";

/** Options of {@link loadModel}. */
export interface LoadOptions {
  /** How the large matrices are stored and kept on the device. Default "q4", 4 bits per weight. */
  readonly quantization?: Quantization;
  /** Where to compute. Default: "webgpu" where there is an adapter, else "wasm" (small models only). */
  readonly backend?: BackendKind;
  /**
   * Repositories or folders that a family needs beside its own, by name, as
   * `{ vae: "stabilityai/sdxl-vae" }`. Default: a subfolder of that name, else what its authors use.
   */
  readonly companions?: Readonly<Record<string, SourceInput>>;
  /**
   * Bytes of weights that may be on the device at a time; stages that do not fit together then take turns and
   * come back from the store. Default: no limit where the device has the memory, else what it has.
   */
  readonly memoryBudgetBytes?: number;
  /** Base address of the hub or of a mirror of it. Default "https://huggingface.co". */
  readonly hubUrl?: string;
  /** Downloads with this instead of the platform's `fetch`; say, to add an access token. */
  readonly fetch?: FetchLike;
  /** Ends the load; it then rejects with the signal's reason. What is stored by then stays stored. */
  readonly signal?: AbortSignal;
  /** Told what happens, several times a second. A load whose listener throws rejects with that error. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Where the workers come from, for pages that start them themselves. */
  readonly workers?: WorkerFactories;
}

/** A load whose options are checked, with their defaults. */
export interface LoadPlan extends Required<Pick<LoadOptions, "quantization" | "onProgress">> {
  readonly location: SourceLocation;
  readonly companions: Readonly<Record<string, SourceLocation>>;
  readonly backend: BackendKind | undefined;
  readonly memoryBudgetBytes: number | undefined;
  readonly hubUrl: string | undefined;
  readonly fetch: FetchLike | undefined;
  readonly workers: Required<WorkerFactories>;
}

const KEYS: readonly (keyof LoadOptions)[] = [
  "quantization",
  "backend",
  "companions",
  "memoryBudgetBytes",
  "hubUrl",
  "fetch",
  "signal",
  "onProgress",
  "workers",
];
const QUANTIZATIONS: readonly Quantization[] = ["f32", "f16", "q8", "q4"];
const BACKENDS: readonly BackendKind[] = ["webgpu", "wasm"];

/** Checks what was asked. @throws TypeError, RangeError */
export function planLoad(source: SourceInput, options: LoadOptions): LoadPlan {
  checkKeys(options, KEYS, "The options of loadModel");
  const { quantization = "q4", backend, memoryBudgetBytes, hubUrl, fetch, workers } = options;
  const { onProgress = () => undefined, companions = {} } = options;
  checkOneOf("quantization", quantization, QUANTIZATIONS);
  if (backend !== undefined) checkOneOf("backend", backend, BACKENDS);
  integerOption({ memoryBudgetBytes }, "memoryBudgetBytes", {
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
  });
  if (fetch !== undefined) checkFunction("fetch", fetch);
  checkFunction("onProgress", onProgress);
  return {
    location: locate(source),
    companions: Object.fromEntries(
      Object.entries(companions).map(([name, companion]) => [name, locate(companion)]),
    ),
    hubUrl: hubUrl === undefined ? undefined : checkUrl("hubUrl", hubUrl),
    workers: { engine: spawnEngine, loader: spawnLoader, ...workers },
    quantization,
    backend,
    memoryBudgetBytes,
    fetch,
    onProgress,
  };
}

// Relative addresses are meant from the page; a worker would read them from its script.
function locate(source: SourceInput): SourceLocation {
  return parseSource(source, globalThis.document?.baseURI ?? globalThis.location?.href);
}

function checkOneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.some((one) => one === value)) return;
  throw new RangeError(`${name} must be one of ${allowed.join(", ")}, got ${show(value)}.`);
}

function checkFunction(name: string, value: unknown): void {
  if (typeof value === "function") return;
  throw new TypeError(`${name} must be a function, got ${show(value)}.`);
}

function checkUrl(name: string, value: string): string {
  const url = URL.parse(value, globalThis.location?.href);
  if (url && /^https?:$/.test(url.protocol)) return url.href.replace(/\/+$/, "");
  throw new RangeError(`${name} must be an http(s) address, got ${show(value)}.`);
}
