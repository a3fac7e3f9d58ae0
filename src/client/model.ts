// A loaded model, as an application holds it. Each method checks what was asked, at once, and returns a Run;
// the engine worker does the work, one run after the other, and is brought back when its GPU is lost.
import { abortable } from "../base/abort.ts";
import type { RunEvent, TextDeltaEvent, TextResult } from "../base/events.ts";
import type { ModelInfo } from "../base/info.ts";
import type {
  ConverseOptions,
  EditImageOptions,
  GenerateImageOptions,
  GenerateTextOptions,
} from "../base/options.ts";
import type { Capabilities } from "../base/requests.ts";
import { isPersistenceGranted } from "./ask-persistence.ts";
import { converseCall, editImageCall, generateImageCall, generateTextCall } from "./calls.ts";
import type { Call, CallKind } from "./calls.ts";
import type { ConverseEvent, ConverseOutput, DrawEvent, DrawOutput } from "./outputs.ts";
import { Run } from "./run.ts";
import type { Supervisor } from "./supervisor.ts";

/**
 * A model on the device. Runs are done one at a time, in order; a run that is aborted or fails leaves the
 * others alone. Holds device memory until `dispose`; `await using` does that by itself.
 *
 * A lost device, a crashed GPU process, a worker that froze or died: the model comes back by itself from the
 * store (`onProgress` of its load tells, `info.recoveries` counts), and the run that was broken off is done
 * again from its seed: the same numbers on the same GPU, and nothing is told twice. Where the repeated run
 * differs from what was told already, it rejects with device-lost and `details.retryable`; where the device
 * does not come back in three attempts, every run rejects with device-lost or webgpu-unavailable.
 */
export class Model implements AsyncDisposable {
  /** Id of the model's family, as "janus-flow". */
  readonly family: string;
  /** Which of the four methods this model can do. */
  readonly capabilities: Capabilities;
  readonly #source: string;
  readonly #supervisor: Supervisor;
  #disposal: Promise<void> | undefined;

  /** Takes over an engine that has loaded its model from `source`. */
  constructor(supervisor: Supervisor, source: string) {
    const { family, capabilities } = supervisor.info;
    this.#source = source;
    this.family = family;
    this.capabilities = capabilities;
    this.#supervisor = supervisor;
  }

  /** Device, sizes, memory and counters, as of the end of the last run; and how often it came back. */
  get info(): ModelInfo {
    const { storage, ...info } = this.#supervisor.info;
    // The engine asked before the user had answered.
    const isPersistent = storage.kind === "indexeddb" && isPersistenceGranted();
    return { ...info, storage: isPersistent ? { ...storage, isPersistent } : storage };
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
    this.#disposal ??= this.#supervisor.dispose();
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
    const onEvent = (event: RunEvent): void => {
      const seen = call.toEvent(event);
      if (seen !== undefined) report(seen);
    };
    return call.toResult(await this.#supervisor.run(request, onEvent, signal));
  }
}
