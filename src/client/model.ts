// A loaded model, as an application holds it. Each method checks what was asked, at once, and returns a Run;
// the engine worker does the work, one run after the other.
import { proxy } from "comlink";
import { abortable } from "../base/abort.ts";
import type { RunEvent, TextDeltaEvent, TextResult } from "../base/events.ts";
import type { ModelInfo } from "../base/info.ts";
import type {
  ConverseOptions,
  EditImageOptions,
  GenerateImageOptions,
  GenerateTextOptions,
} from "../base/options.ts";
import { moved } from "../base/wire.ts";
import type { Capabilities } from "../base/requests.ts";
import type { Engine } from "../engine/engine.ts";
import { converseCall, editImageCall, generateImageCall, generateTextCall } from "./calls.ts";
import type { Call, CallKind } from "./calls.ts";
import type { ConverseEvent, ConverseOutput, DrawEvent, DrawOutput } from "./outputs.ts";
import { Run } from "./run.ts";
import type { WorkerHandle } from "./worker-handle.ts";

/** A dispose that takes longer is not waited for: the worker is ended with what it holds. */
const DISPOSE_DEADLINE_MS = 1_000;

/**
 * A model on the device. Runs are done one at a time, in order; a run that is aborted or fails leaves the
 * others alone. Holds device memory until `dispose`; `await using` does that by itself.
 */
export class Model implements AsyncDisposable {
  /** Id of the model's family, as "janus-flow". */
  readonly family: string;
  /** Which of the four methods this model can do. */
  readonly capabilities: Capabilities;
  readonly #source: string;
  readonly #engine: WorkerHandle<Engine>;
  #info: ModelInfo;
  #disposal: Promise<void> | undefined;

  /** Takes over a started engine that has loaded its model from `source`. */
  constructor(engine: WorkerHandle<Engine>, info: ModelInfo, source: string) {
    this.#source = source;
    this.family = info.family;
    this.capabilities = info.capabilities;
    this.#engine = engine;
    this.#info = info;
  }

  /** Device, sizes, memory and counters, as of the end of the last run. */
  get info(): ModelInfo {
    return this.#info;
  }

  /**
   * Continues a conversation with text.
   *
   * @returns a run of `text-delta` events; its result has the whole text, why it ended, and token counts
   * @throws TypeError or RangeError for options that make no sense
   */
  generateText(options: GenerateTextOptions): Run<TextResult, TextDeltaEvent> {
    return this.#start(generateTextCall, options);
  }

  /**
   * Draws pictures.
   *
   * @returns a run of `step`, `preview` and `image` events; its result has the pictures and what made them
   * @throws TypeError or RangeError for options that make no sense
   */
  generateImage(options: GenerateImageOptions): Run<DrawOutput, DrawEvent> {
    return this.#start(generateImageCall, options);
  }

  /**
   * Draws pictures from others and a prompt.
   *
   * @returns as `generateImage`
   * @throws TypeError when the model does not edit, or for options that make no sense; RangeError likewise
   */
  editImage(options: EditImageOptions): Run<DrawOutput, DrawEvent> {
    return this.#start(editImageCall, options);
  }

  /**
   * Continues a conversation with text and pictures.
   *
   * @returns a run of `text-delta`, `step`, `preview` and `image` events; its result has the parts in order
   * @throws TypeError when the model does not converse, or for options that make no sense; RangeError likewise
   */
  converse(options: ConverseOptions): Run<ConverseOutput, ConverseEvent> {
    return this.#start(converseCall, options);
  }

  /**
   * Frees the device and ends the worker. Runs that are under way or waiting reject with an AbortError.
   * Never rejects; again is harmless.
   */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  /** As {@link Model.dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #start<Options extends { readonly signal?: AbortSignal }, Result, Event>(
    kind: CallKind<Options, Result, Event>,
    options: Options,
  ): Run<Result, Event> {
    if (this.#disposal) {
      throw new TypeError("The model is disposed. Load it again with loadModel().");
    }
    if (!this.capabilities[kind.task]) {
      throw new TypeError(
        `A ${this.family} model has no ${kind.task}: see model.capabilities for what it can do.`,
      );
    }
    const call = kind.check(options, this.#source);
    return new Run((report) => this.#run(call, report, options.signal));
  }

  async #run<Result, Event>(
    call: Call<Result, Event>,
    report: (event: Event) => void,
    signal?: AbortSignal,
  ): Promise<Result> {
    const prepared = call.prepare(signal);
    const request = await (signal ? abortable(prepared, signal) : prepared);
    const onEvent = proxy((event: RunEvent): void => {
      const seen = call.toEvent(event);
      if (seen !== undefined) report(seen);
    });
    const { result, info } = await this.#engine.call(
      (engine, stop) => engine.run(moved(request), onEvent, stop),
      signal,
    );
    this.#info = info;
    return call.toResult(result);
  }

  // The engine knows best how to free a device. One that is busy or dead is ended as it is.
  async #dispose(): Promise<void> {
    const deadline = AbortSignal.timeout(DISPOSE_DEADLINE_MS);
    await this.#engine.call((engine) => engine.dispose(), deadline).catch(() => undefined);
    this.#engine.end(new DOMException("The model was disposed.", "AbortError"));
  }
}
