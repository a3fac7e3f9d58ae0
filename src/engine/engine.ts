// What the engine worker exposes: one model, loaded once, and a queue of runs. Knows the order of things
// and when to stop; how a model is loaded and what a task does is handed in.
import { abortable } from "../base/abort.ts";
import { assert } from "../base/assert.ts";
import { fail } from "../base/errors.ts";
import type { LoadProgress, RunEvent, TaskResult } from "../base/events.ts";
import type { ModelInfo } from "../base/info.ts";
import type { TaskRequest } from "../base/requests.ts";
import type { Listener } from "../base/wire.ts";
import { EventSink, moved } from "../base/wire.ts";
import type { Stages } from "../models/family.ts";
import { memoryFailure } from "../session/failures.ts";
import type { BackendKind } from "../session/runtime.ts";
import { Queue } from "../base/queue.ts";
import type { HandedModel } from "../weights/store.ts";

/** Which stored model to bring to the device. */
export interface LoadRequest {
  /** Key of the model's manifest in the store. */
  readonly manifestKey: string;
  /** Default: webgpu where there is an adapter, else wasm. */
  readonly backend?: BackendKind;
  /** Most bytes of weights at a time; default: all stages stay resident. */
  readonly memoryBudgetBytes?: number;
  /** The model itself, where the browser has no storage for the page. */
  readonly handed?: HandedModel;
}

/** A model on the device. */
export interface LoadedModel {
  readonly stages: Stages;
  info(): ModelInfo;
  dispose(): Promise<void>;
}

/** The two things an engine does, handed in so that its order can be tested without a model. */
export interface EngineParts {
  /** Stored manifest -> weights on the device -> compiled stages. */
  loadStages(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<LoadedModel>;
  /** The loop of the asked task; see tasks/. */
  runTask(
    stages: Stages,
    task: TaskRequest,
    signal: AbortSignal,
  ): AsyncGenerator<RunEvent, TaskResult, undefined>;
}

/** What a run gives back: its result, and what the model tells about itself after it. */
export interface RunOutcome {
  readonly result: TaskResult;
  readonly info: ModelInfo;
}

/** One model in one worker. Runs are done one at a time, in the order in which they were asked for. */
export class Engine {
  readonly #parts: EngineParts;
  readonly #queue = new Queue();
  // Aborts when dispose is asked for: what runs ends at its next step.
  readonly #disposal = new AbortController();
  // Aborts when the device is lost: what runs may wait for ever.
  readonly #loss = new AbortController();
  #model: LoadedModel | undefined;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /**
   * Loads the model. Once per engine.
   *
   * @param onLost - told why when the device is lost, whether a run waits for it or not
   * @throws ModelError for what the store, the device or the checkpoint refuses; the signal's reason
   */
  load(
    request: LoadRequest,
    onProgress: Listener<LoadProgress>,
    signal: AbortSignal,
    onLost: Listener<string> = () => undefined,
  ): Promise<ModelInfo> {
    const either = this.#stopsWith(signal);
    return this.#queue.add(async () => {
      assert(!this.#model, "an engine loads one model");
      const progress = new EventSink(onProgress);
      try {
        const send = (event: LoadProgress): void => progress.send(event);
        this.#model = await this.#parts.loadStages(request, send, either);
      } catch (error) {
        throw memoryFailure(error);
      } finally {
        await progress.close();
      }
      void this.#watchDevice(this.#model, onLost);
      return this.#model.info();
    }, either);
  }

  /**
   * Does a task after all that were asked before it, and tells its events on the way. An abort ends this
   * task at its next step and leaves the others in the queue alone.
   *
   * @throws ModelError device-lost at once when the device is lost, also while a task waits for it
   */
  run(task: TaskRequest, onEvent: Listener<RunEvent>, signal: AbortSignal): Promise<RunOutcome> {
    const either = this.#stopsWith(signal);
    return this.#queue.add(async () => {
      const model = this.#loaded();
      const events = new EventSink(onEvent);
      try {
        const result = await this.#follow(this.#parts.runTask(model.stages, task, either), events);
        return moved({ result, info: model.info() });
      } catch (error) {
        throw memoryFailure(error);
      } finally {
        await events.close();
      }
    }, either);
  }

  /** What the model tells about itself now. */
  info(): ModelInfo {
    return this.#loaded().info();
  }

  /** Stops what runs, refuses what waits, and frees the device. */
  async dispose(): Promise<void> {
    this.#disposal.abort(new DOMException("The model was disposed.", "AbortError"));
    await this.#queue.settled();
    await this.#model?.dispose();
    this.#model = undefined;
  }

  /** Answers: the client asks while a call runs, to notice a worker that is blocked or gone. */
  ping(): void {}

  // A task whose device is lost may wait for ever: it is left behind, not waited for.
  async #follow(
    events: AsyncGenerator<RunEvent, TaskResult, undefined>,
    sink: EventSink<RunEvent>,
  ): Promise<TaskResult> {
    for (;;) {
      const next = await abortable(events.next(), this.#loss.signal);
      if (next.done) return next.value;
      // A picture that is done is part of the result, too; a preview belongs to its event alone.
      sink.send(next.value.type === "preview" ? moved(next.value) : next.value);
    }
  }

  // A lost device makes onnxruntime block its worker at the second call (reliability: G1): none is made.
  async #watchDevice({ stages }: LoadedModel, onLost: Listener<string>): Promise<void> {
    const reason = await stages.runtime.lost;
    this.#loss.abort(fail("device-lost", `The GPU device was lost: ${reason}.`, { reason }));
    if (!this.#disposal.signal.aborted) onLost(reason);
  }

  #stopsWith(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#loss.signal, this.#disposal.signal]);
  }

  #loaded(): LoadedModel {
    assert(this.#model, "load comes before run");
    return this.#model;
  }
}
