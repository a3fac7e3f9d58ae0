// What the loader worker exposes: bringing published checkpoints into the store, and looking after the
// store. Knows the order of things; how a checkpoint is read and where it is stored is handed in.
import { releaseProxy } from "comlink";
import type { ProxyMarked, Remote } from "comlink";
import type { CachedModel, CacheUsage } from "../base/cache-info.ts";
import type { Quantization } from "../base/dtype.ts";
import type { LoadProgress } from "../base/events.ts";
import type { SourceLocation } from "../base/source-location.ts";
import type { FetchLike, LentFetch } from "../base/wire-fetch.ts";
import { borrowFetch } from "../base/wire-fetch.ts";
import type { Listener } from "../base/wire.ts";
import { EventSink } from "../base/wire.ts";
import type { Locks } from "../weights/import-lock.ts";
import type { BackendKind } from "../session/runtime.ts";
import type { openSource } from "../weights/open-source.ts";
import type { HandedModel } from "../weights/store.ts";
import { Queue } from "../base/queue.ts";

/** What is asked of the device that is to hold a model. */
export interface DeviceRequest {
  /** Default: webgpu where there is an adapter, else wasm. */
  readonly backend?: BackendKind;
  /** Most bytes of weights at a time. */
  readonly memoryBudgetBytes?: number;
}

/** Which checkpoint to store, and how. */
export interface ImportRequest {
  readonly location: SourceLocation;
  /** Where to find companions that are not to come from where the family expects them. */
  readonly companions: Readonly<Record<string, SourceLocation>>;
  readonly quantization: Quantization;
  /** Base address of the hub; default: huggingface.co. */
  readonly hubUrl?: string;
  /** The device that is to hold the model: it is refused where that cannot. Absent: nobody asks. */
  readonly device?: DeviceRequest;
}

/** What an import works with, beside its request. */
export interface ImportTools {
  /** Absent: the worker's own. */
  readonly fetch?: FetchLike;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
  /** Opens what a location names; default: what a browser can open. */
  readonly openSource?: typeof openSource;
  /** Default: the browser's, where it has them. */
  readonly locks?: Locks;
}

/** A stored model. */
export interface ImportOutcome {
  /** What the engine loads. */
  readonly manifestKey: string;
  readonly family: string;
  /** Id of the source, and the commit that was read where the host tells one. */
  readonly source: string;
  readonly revision: string;
  readonly storedBytes: number;
  /** True when nothing had to be downloaded. */
  readonly alreadyStored: boolean;
  /** The model itself, where the browser has no storage that the engine could read it from. */
  readonly handed?: HandedModel;
  /** Most bytes of weights on the device at a time, where the request names a device that is short of memory. */
  readonly memoryBudgetBytes?: number;
}

/** What a loader does, handed in so that its order can be tested without a network. */
export interface LoaderParts {
  /** Checkpoint -> family -> stored weights. Ends at once when they are stored already. */
  importModel(request: ImportRequest, tools: ImportTools): Promise<ImportOutcome>;
  /** Checks every stored byte of a model, and fetches again what is damaged. */
  repairModel(request: ImportRequest, tools: ImportTools): Promise<void>;
  listModels(): Promise<CachedModel[]>;
  /** Deletes the models with this key or id. Returns how many there were. */
  removeModels(keyOrId: string): Promise<number>;
  /** Keeps the models with this key or id from being deleted to make room. Returns how many there are. */
  pinModels(keyOrId: string, isPinned: boolean): Promise<number>;
  /** Deletes models that are not pinned, the longest unused first. Returns what was deleted. */
  makeRoom(bytes: number): Promise<CachedModel[]>;
  clearModels(): Promise<void>;
  measureUsage(): Promise<CacheUsage>;
}

/** Imports one model at a time: a second request for the same one finds it stored. */
export class Loader {
  readonly #parts: LoaderParts;
  readonly #imports = new Queue();

  constructor(parts: LoaderParts) {
    this.#parts = parts;
  }

  /**
   * Stores a checkpoint, unless it is stored.
   *
   * @param lentFetch - the application's own; absent: the worker's
   * @throws ModelError for what the network, the checkpoint or the storage refuses; the signal's reason
   */
  importModel(
    request: ImportRequest,
    onProgress: Listener<LoadProgress>,
    signal: AbortSignal,
    lentFetch?: Remote<LentFetch & ProxyMarked>,
  ): Promise<ImportOutcome> {
    const work = (tools: ImportTools): Promise<ImportOutcome> =>
      this.#parts.importModel(request, tools);
    return this.#withTools(work, onProgress, signal, lentFetch);
  }

  /** Checks a stored model and fetches again what is damaged. Parameters and errors as `importModel`. */
  repairModel(
    request: ImportRequest,
    onProgress: Listener<LoadProgress>,
    signal: AbortSignal,
    lentFetch?: Remote<LentFetch & ProxyMarked>,
  ): Promise<void> {
    const work = (tools: ImportTools): Promise<void> => this.#parts.repairModel(request, tools);
    return this.#withTools(work, onProgress, signal, lentFetch);
  }

  /** All complete models. */
  listModels(): Promise<CachedModel[]> {
    return this.#parts.listModels();
  }

  /** Deletes the models with this key or id, after imports that are under way. Returns how many there were. */
  removeModels(keyOrId: string, signal: AbortSignal): Promise<number> {
    return this.#imports.add(() => this.#parts.removeModels(keyOrId), signal);
  }

  /** Pins the models with this key or id, or no longer. Returns how many there are. */
  pinModels(keyOrId: string, isPinned: boolean): Promise<number> {
    return this.#parts.pinModels(keyOrId, isPinned);
  }

  /** Deletes unpinned models until so many bytes are free, after imports that are under way. */
  makeRoom(bytes: number, signal: AbortSignal): Promise<CachedModel[]> {
    return this.#imports.add(() => this.#parts.makeRoom(bytes), signal);
  }

  /** Deletes everything that is stored, after imports that are under way. */
  clearModels(signal: AbortSignal): Promise<void> {
    return this.#imports.add(() => this.#parts.clearModels(), signal);
  }

  /** Bytes in the store, and the browser's idea of the space. */
  measureUsage(): Promise<CacheUsage> {
    return this.#parts.measureUsage();
  }

  /** Answers: the client asks while a call runs, to notice a worker that is blocked or gone. */
  ping(): void {}

  // What the other thread lent is given back when the work is over.
  #withTools<T>(
    work: (tools: ImportTools) => Promise<T>,
    onProgress: Listener<LoadProgress>,
    signal: AbortSignal,
    lentFetch: Remote<LentFetch & ProxyMarked> | undefined,
  ): Promise<T> {
    return this.#imports.add(async () => {
      const progress = new EventSink(onProgress);
      try {
        return await work({
          onProgress: (event) => progress.send(event),
          signal,
          ...(lentFetch ? { fetch: borrowFetch(lentFetch) } : {}),
        });
      } finally {
        lentFetch?.[releaseProxy]();
        await progress.close();
      }
    }, signal);
  }
}
