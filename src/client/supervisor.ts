// Keeps an engine worker alive. onnxruntime never comes back in a worker that lost its device, and may freeze
// it: such a worker is ended at once, a new one loads the model from the store, and what was asked is done
// again from its seed. Runs are done one at a time, so a loss breaks off at most one. Knows lives, waits and
// runs; how a life is started is handed in.
import { proxy } from "comlink";
import { abortable } from "../base/abort.ts";
import { fail, ModelError } from "../base/errors.ts";
import type { RunEvent } from "../base/events.ts";
import type { ModelInfo } from "../base/info.ts";
import { Queue } from "../base/queue.ts";
import type { TaskRequest } from "../base/requests.ts";
import type { Engine, RunOutcome } from "../engine/engine.ts";
import { Replay } from "./replay.ts";
import type { WorkerHandle } from "./worker-handle.ts";

/** A started worker that has loaded the model. */
export interface Life {
  readonly engine: WorkerHandle<Engine>;
  readonly info: ModelInfo;
}

/** What the last life was, and what ended it. */
export interface Before {
  readonly info?: ModelInfo | undefined;
  readonly end: unknown;
}

/** How lives begin, and who is told. */
export interface Supervised {
  /** Starts a worker that loads the model. */
  start(signal: AbortSignal, before?: Before): Promise<Life>;
  /** Told before each attempt to come back. */
  onLoss(reason: string): void;
}

/**
 * Waits before the first, second and third attempt to come back. There is no fourth: a browser that gives no
 * device by then has blocked the GPU for this page.
 */
const WAITS_MS = [1_000, 4_000, 15_000];

/** A life that lasted this long, or finished a run, was a good one: the waits begin anew after it. */
const GOOD_LIFE_MS = 60_000;

/** A dispose that takes longer is not waited for: the worker is ended with what it holds. */
const DISPOSE_DEADLINE_MS = 1_000;

/** Times that one run is begun. A run that loses the device each time is why it is lost. */
const MAX_ATTEMPTS = 1 + WAITS_MS.length;

/** Times that weights are repaired for one run: what is damaged again at once is not worth a third look. */
const MAX_REPAIRS = 1;

/** The engine of one model, through all its lives. */
export class Supervisor {
  readonly #supervised: Supervised;
  readonly #turns = new Queue();
  readonly #end = new AbortController();
  #life: Promise<Life>;
  /** Of the newest life. */
  #engine: WorkerHandle<Engine> | undefined;
  #info: ModelInfo | undefined;
  #losses = 0;
  #recoveries = 0;

  /**
   * Starts the first life.
   *
   * @throws what starting it throws; ModelError device-lost when the device is lost again and again
   */
  static async start(supervised: Supervised, signal: AbortSignal): Promise<Supervisor> {
    const supervisor = new Supervisor(supervised, signal);
    await supervisor.#life;
    return supervisor;
  }

  private constructor(supervised: Supervised, signal: AbortSignal) {
    this.#supervised = supervised;
    this.#life = this.#begin(signal);
  }

  /** What the model tells about itself, as of its start or the end of the last run. */
  get info(): ModelInfo {
    if (!this.#info) throw new Error("web-umm internal error: a supervisor has started");
    return { ...this.#info, recoveries: this.#recoveries };
  }

  /**
   * Does a task after all that were asked before it, in as many lives as it takes.
   *
   * @throws what the task throws; the signal's own reason at once; ModelError device-lost or
   * webgpu-unavailable when the device does not come back
   */
  async run(
    task: TaskRequest,
    onEvent: (event: RunEvent) => void,
    signal?: AbortSignal,
  ): Promise<RunOutcome["result"]> {
    const either = signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal;
    const turn = this.#turns.add(() => this.#run(task, new Replay(onEvent), either), either);
    return abortable(turn, either);
  }

  /**
   * Frees the device and ends the worker, or its coming back. Runs that are under way or wait reject with an
   * AbortError. Never rejects.
   */
  async dispose(): Promise<void> {
    const reason = new DOMException("The model was disposed.", "AbortError");
    this.#end.abort(reason);
    const engine = this.#engine;
    // The engine knows best how to free a device. One that is busy or dead is ended as it is.
    const deadline = AbortSignal.timeout(DISPOSE_DEADLINE_MS);
    await engine?.call((remote) => remote.dispose(), deadline).catch(() => undefined);
    engine?.end(reason);
  }

  async #run(
    task: TaskRequest,
    replay: Replay,
    signal: AbortSignal,
  ): Promise<RunOutcome["result"]> {
    for (let repairs = 0; ;) {
      const { engine } = await abortable(this.#life, signal);
      try {
        const { result, info } = await this.#attempt(engine, task, replay, signal);
        replay.end();
        this.#info = info;
        this.#losses = 0;
        return result;
      } catch (error) {
        if (signal.aborted || !ModelError.isModelError(error)) throw error;
        // Nobody knows which buffers are left of a worker whose memory ran out.
        const isFull = error.code === "out-of-memory" && error.details["exhausted"] === true;
        const isLost = error.code === "device-lost" && error.details["retryable"] !== true;
        // Found in a stage that came back from the store: the next life begins with a repair.
        const isDamaged = error.code === "weights-corrupt";
        if (isFull || isLost || isDamaged) engine.end(error);
        const mayGoOn = isLost || (isDamaged && repairs++ < MAX_REPAIRS);
        if (!mayGoOn || replay.attempts === MAX_ATTEMPTS) throw error;
      }
    }
  }

  async #attempt(
    engine: WorkerHandle<Engine>,
    task: TaskRequest,
    replay: Replay,
    signal: AbortSignal,
  ): Promise<RunOutcome> {
    const other = new AbortController();
    const listener = replay.begin((reason) => other.abort(reason));
    const heard = (event: RunEvent): void => {
      engine.sign();
      listener(event);
    };
    return engine.call(
      (remote, stop) => remote.run(task, proxy(heard), stop),
      AbortSignal.any([signal, other.signal]),
    );
  }

  async #begin(signal: AbortSignal, loss?: unknown): Promise<Life> {
    for (let why = loss; ;) {
      if (why !== undefined) await this.#waitAfter(why, signal);
      try {
        const before = why === undefined ? undefined : { info: this.#info, end: loss ?? why };
        const life = await this.#supervised.start(signal, before);
        this.#watch(life);
        return life;
      } catch (error) {
        if (signal.aborted || !this.#mayPass(error)) throw error;
        why = error;
      }
    }
  }

  async #waitAfter(loss: unknown, signal: AbortSignal): Promise<void> {
    const wait = WAITS_MS[this.#losses];
    if (wait === undefined) throw gaveUp(loss);
    this.#losses += 1;
    this.#supervised.onLoss(loss instanceof Error ? loss.message : String(loss));
    await abortable(new Promise((resolve) => setTimeout(resolve, wait)), signal);
  }

  #watch(life: Life): void {
    const { engine, info } = life;
    const began = performance.now();
    this.#engine = engine;
    if (this.#end.signal.aborted) engine.end(this.#end.signal.reason);
    if (this.#info) this.#recoveries += 1;
    this.#info = info;
    engine.ended.addEventListener("abort", () => {
      if (this.#end.signal.aborted) return;
      if (performance.now() - began > GOOD_LIFE_MS) this.#losses = 0;
      this.#life = this.#begin(this.#end.signal, engine.ended.reason);
      // Those who wait for a life hear of it; nobody may.
      this.#life.catch(() => undefined);
    });
  }

  // Right after an accident the browser may refuse for a moment what it gave before.
  #mayPass(error: unknown): boolean {
    if (!ModelError.isModelError(error)) return false;
    const { code, details } = error;
    if (this.#info || this.#losses > 0) return MAY_PASS.has(code);
    // The first time, only a lost device: a worker that does not even start will not do so later.
    return code === "device-lost" && details["worker"] === undefined;
  }
}

const MAY_PASS: ReadonlySet<string> = new Set([
  "device-lost",
  "webgpu-unavailable",
  "out-of-memory",
  "download-failed",
  "storage-unavailable",
]);

function gaveUp(loss: unknown): unknown {
  if (!ModelError.isModelError(loss)) return loss;
  const attempts = WAITS_MS.length;
  const { code, message, details } = loss;
  // A new worker cannot know that there was an adapter before.
  const isBlocked = code === "webgpu-unavailable" && details["reason"] === "no-adapter";
  return fail(
    code,
    `The model did not come back after ${attempts} attempts: ${message} Reload the page; if that does ` +
      "not help, restart the browser.",
    { ...details, ...(isBlocked ? { reason: "blocked" } : {}), attempts },
    loss,
  );
}
