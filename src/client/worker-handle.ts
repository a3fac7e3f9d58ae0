// A worker and every call that waits for it. comlink never rejects when a worker dies: here each call is
// tied to the worker's end, so that none waits for ever. Knows nothing about what the calls mean.
import { releaseProxy, wrap } from "comlink";
import type { Remote } from "comlink";
import { abortable } from "../base/abort.ts";
import type { ModelError, ModelErrorCode } from "../base/errors.ts";
import { fail } from "../base/errors.ts";
import { installWire, releaseSignal } from "../base/wire.ts";
import { Heartbeat } from "./heartbeat.ts";

/**
 * A worker that did not answer by then does not start any more. Its script is a few hundred KB; onnxruntime's
 * wasm is fetched later, under the heartbeat.
 */
const START_DEADLINE_MS = 20_000;

/** What a worker exposes at least. */
interface Answering {
  ping(): void;
}

/** One kind of worker. */
export interface WorkerKind {
  readonly name: string;
  readonly spawn: () => Worker;
  /** What its death means to the application. */
  readonly deathCode: ModelErrorCode;
  /** What to do after its death, a sentence after a space. */
  readonly advice?: string;
  /** It works on nothing for long without a {@link WorkerHandle.sign}; absent: it may be quiet for ever. */
  readonly givesSigns?: boolean;
}

let generations = 0;

/** A started worker that exposes `Api`. */
export class WorkerHandle<Api extends Answering> {
  /** Tells this worker from those before it. */
  readonly generation: number = ++generations;
  readonly #kind: WorkerKind;
  readonly #worker: Worker;
  readonly #remote: Remote<Api>;
  // The same worker again: TypeScript cannot see `ping` in the Remote of an open type.
  readonly #answering: Remote<Answering>;
  readonly #heartbeat: Heartbeat;
  // Aborts with the reason of the worker's end; every call is tied to it.
  readonly #end = new AbortController();
  readonly #onError = ({ message }: ErrorEvent): void => this.#die(message || NO_MESSAGE);
  readonly #onUnreadable = (): void => this.#die("it sent what cannot be read");
  #hasStarted = false;
  /** Answers that the worker owes, also of calls that nobody waits for any more. */
  #owed = 0;

  /**
   * Starts a worker and waits until it answers.
   *
   * @throws ModelError download-failed when its script does not run within 20 s; the signal's reason
   */
  static async start<Api extends Answering>(
    kind: WorkerKind,
    signal?: AbortSignal,
  ): Promise<WorkerHandle<Api>> {
    signal?.throwIfAborted();
    installWire();
    const handle = new WorkerHandle<Api>(kind, spawn(kind));
    try {
      await handle.#started(signal);
    } catch (error) {
      handle.end(error);
      throw error;
    }
    return handle;
  }

  private constructor(kind: WorkerKind, worker: Worker) {
    this.#kind = kind;
    this.#worker = worker;
    this.#remote = wrap<Api>(worker);
    this.#answering = wrap<Answering>(worker);
    this.#heartbeat = new Heartbeat(
      () => (this.isAlive ? this.#answering.ping() : Promise.resolve()),
      (what, seconds) => this.#die(`it ${what} for ${seconds} s`),
      kind.givesSigns,
    );
    worker.addEventListener("error", this.#onError);
    worker.addEventListener("messageerror", this.#onUnreadable);
  }

  /** False after `end`, and when the worker died. */
  get isAlive(): boolean {
    return !this.#end.signal.aborted;
  }

  /** Aborts when the worker ends, by itself or by `end`, with the reason. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** Notes that the worker got on with what it was asked. */
  sign(): void {
    this.#heartbeat.sign();
  }

  /**
   * Makes a call and waits for its answer.
   *
   * @param use - makes the call; the signal it gets crosses to the worker and is connected until the end
   * @throws what the worker throws; `signal`'s own reason as soon as it aborts; the reason of the worker's end
   */
  async call<T>(
    use: (remote: Remote<Api>, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    this.#end.signal.throwIfAborted();
    const crossing = new AbortController();
    // Before anything else that listens: the worker hears of the abort before the call is let go.
    const cross = (): void => crossing.abort();
    signal?.addEventListener("abort", cross, { once: true });
    if (this.#hasStarted && this.#owed === 0) this.#heartbeat.knock();
    try {
      const answer = abortable(this.#counted(use(this.#remote, crossing.signal)), this.#end.signal);
      return await this.#heartbeat.during(signal ? abortable(answer, signal) : answer);
    } finally {
      signal?.removeEventListener("abort", cross);
      releaseSignal(crossing.signal);
    }
  }

  /** Ends the worker at once; every call that waits, and every later one, rejects with `reason`. */
  end(reason: unknown): void {
    if (!this.isAlive) return;
    this.#worker.terminate();
    this.#end.abort(reason);
    // comlink keeps a worker until nobody can call it. A worker whose listeners can, or that owes an answer, would
    // be kept, with all that waited for it, as long as the page lives.
    this.#worker.removeEventListener("error", this.#onError);
    this.#worker.removeEventListener("messageerror", this.#onUnreadable);
    this.#remote[releaseProxy]();
    this.#answering[releaseProxy]();
  }

  async #counted<T>(answer: Promise<T>): Promise<T> {
    this.#owed += 1;
    try {
      return await answer;
    } finally {
      this.#owed -= 1;
    }
  }

  async #started(signal?: AbortSignal): Promise<void> {
    const timer = setTimeout(
      () => this.#die(`it did not answer within ${START_DEADLINE_MS / 1000} s`),
      START_DEADLINE_MS,
    );
    const block = ({ effectiveDirective, blockedURI }: SecurityPolicyViolationEvent): void => {
      if (effectiveDirective !== "worker-src") return;
      this.#die(`the page's Content-Security-Policy (worker-src) does not allow ${blockedURI}`);
    };
    globalThis.addEventListener?.("securitypolicyviolation", block);
    try {
      await this.call(() => this.#answering.ping(), signal);
      this.#hasStarted = true;
    } finally {
      clearTimeout(timer);
      globalThis.removeEventListener?.("securitypolicyviolation", block);
    }
  }

  #die(reason: string): void {
    const { name, deathCode, advice = "" } = this.#kind;
    const details = { worker: name, reason };
    this.end(
      this.#hasStarted
        ? fail(deathCode, `The ${name} worker stopped: ${reason}.${advice}`, details)
        : startFailure(this.#kind, reason),
    );
  }
}

/** What browsers leave out for a script that they could not fetch, parse or were not allowed to run. */
const NO_MESSAGE =
  "its script could not be loaded (not found, not JavaScript, blocked, or an import of it failed)";

function spawn(kind: WorkerKind): Worker {
  try {
    return kind.spawn();
  } catch (error) {
    throw startFailure(kind, error instanceof Error ? error.message : String(error), error);
  }
}

function startFailure({ name }: WorkerKind, reason: string, cause?: unknown): ModelError {
  const message =
    `The ${name} worker did not start: ${reason}. Serve the library's worker scripts beside its ` +
    "index.js from the page's own origin, or pass `workers` to loadModel.";
  return fail("download-failed", message, { worker: name, reason }, cause);
}
