// A model without weights: the loops of an engine run on it, step by step, at the speed of a test.
import { abortable } from "../../src/base/abort.ts";
import { fail } from "../../src/base/errors.ts";
import type { DrawResult, RunEvent, TaskResult, TextResult } from "../../src/base/events.ts";
import type { ModelInfo } from "../../src/base/info.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type { ImageRequest, TaskRequest } from "../../src/base/requests.ts";
import type { EngineParts, LoadedModel } from "../../src/engine/engine.ts";
import { createFakeRuntime } from "./fake-runtime.ts";

/** What a fake model tells about itself after `runs` runs. */
export function fakeInfo(runs = 0): ModelInfo {
  return {
    family: "fake",
    capabilities: { generateText: true, generateImage: true, editImage: false, converse: false },
    backend: "wasm",
    device: "none",
    isSoftware: false,
    dtype: "f32",
    quantization: "q4",
    storedBytes: 1000,
    storage: { kind: "indexeddb", isPersistent: false },
    tensorBytes: 2000,
    peakTensorBytes: 3000,
    stages: [],
    captured: {},
    notes: [],
    traffic: { readbacks: runs, uploads: 0, submits: 0, drains: 0, fences: 0 },
    loadSeconds: 0.5,
    recoveries: 0,
  };
}

/** A turn of the event loop: messages are delivered, promises settle. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** A fake model, what happened to it, and a way to break it. */
export interface FakeModel extends EngineParts {
  /** What happened, in order: "load key", "begin prompt", "end | abort | fail prompt", "dispose". */
  readonly log: string[];
  /** Loses the device. */
  lose(reason: string): void;
}

/** How one life of a fake model differs from a good one. */
export interface FakeFaults {
  /** Its runs wait for ever, deaf to their signal, after this many events. */
  readonly stopAfter?: number;
  /** What its runs then throw in place of waiting. */
  readonly runError?: Error;
  /** It writes in capitals and draws in black: another GPU. */
  readonly isOther?: boolean;
  /** Its load fails with this. */
  readonly loadError?: Error;
}

/**
 * A model that writes its prompt, one character per step, and draws one grey pixel after a preview.
 *
 * The manifest key "broken" fails to load and "slow" never arrives; the prompt "fail" fails after its
 * first event, and "stuck" waits for ever, deaf to its signal.
 */
export function fakeModel(faults: FakeFaults = {}): FakeModel {
  const log: string[] = [];
  const runtime = createFakeRuntime("wasm");
  let lose: ((reason: string) => void) | undefined;
  const lost = new Promise<string>((resolve) => {
    lose = resolve;
  });
  const model: LoadedModel = {
    stages: {
      runtime: { ...runtime, lost },
      info: () => ({ stages: [], captured: {}, notes: [] }),
      dispose: async () => undefined,
    },
    info: () => fakeInfo(log.filter((line) => line.startsWith("end")).length),
    dispose: async () => void log.push("dispose"),
  };
  return {
    log,
    lose: (reason) => lose?.(reason),
    async loadStages({ manifestKey }, onProgress, signal) {
      log.push(`load ${manifestKey}`);
      onProgress({ ...PROGRESS, loadedBytes: 0 });
      if (faults.loadError) throw faults.loadError;
      if (manifestKey === "slow") await abortable(new Promise(() => undefined), signal);
      if (manifestKey === "broken")
        throw fail("weights-corrupt", "Shard 3 is damaged.", { shard: 3 });
      onProgress({ ...PROGRESS, loadedBytes: PROGRESS.totalBytes });
      return model;
    },
    runTask: (_stages, task, signal) => faulty(logged(task, signal, log), faults),
  };
}

const PROGRESS = { phase: "read", file: "weights", totalBytes: 10, bytesPerSecond: 5 } as const;

async function* faulty(
  run: AsyncGenerator<RunEvent, TaskResult, undefined>,
  { stopAfter = Infinity, isOther = false, runError }: FakeFaults,
): AsyncGenerator<RunEvent, TaskResult, undefined> {
  for (let events = 0; ; events++) {
    if (events === stopAfter && runError) throw runError;
    if (events === stopAfter) await new Promise(() => undefined);
    const next = await run.next();
    if (next.done) return next.value;
    yield isOther ? other(next.value) : next.value;
  }
}

function other(event: RunEvent): RunEvent {
  if (event.type === "text-delta") return { ...event, text: event.text.toUpperCase() };
  if ("pixels" in event) event.pixels.data.fill(0);
  return event;
}

async function* logged(
  task: TaskRequest,
  signal: AbortSignal,
  log: string[],
): AsyncGenerator<RunEvent, TaskResult, undefined> {
  const prompt = promptOf(task);
  log.push(`begin ${prompt}`);
  try {
    const result = yield* task.task === "generateImage"
      ? draw(task.request)
      : write(prompt, signal);
    log.push(`end ${prompt}`);
    return result;
  } catch (error) {
    log.push(`${signal.aborted ? "abort" : "fail"} ${prompt}`);
    throw error;
  }
}

async function* write(
  prompt: string,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, TextResult, undefined> {
  let tokens = 0;
  for (const text of prompt) {
    await nextTurn();
    signal.throwIfAborted();
    tokens += 1;
    yield { type: "text-delta", text, tokens, elapsedSeconds: tokens };
    if (prompt === "stuck") await new Promise(() => undefined);
    if (prompt === "fail") throw fail("numerics", "Logits are not finite.", { step: 1 });
  }
  const usage = { promptTokens: 1, completionTokens: tokens, prefillSeconds: 0, decodeSeconds: 0 };
  return { text: prompt, finishReason: "stop", usage };
}

async function* draw(request: ImageRequest): AsyncGenerator<RunEvent, DrawResult, undefined> {
  const pixels = greyPixel();
  yield { type: "step", image: 0, step: 1, steps: 2, elapsedSeconds: 1 };
  yield { type: "preview", image: 0, step: 1, pixels: greyPixel() };
  yield { type: "image", image: 0, pixels };
  return {
    pictures: [pixels],
    seed: request.seed,
    steps: request.steps ?? 2,
    guidance: request.guidance ?? 1,
    latents: request.latents ?? new Float32Array([1, 2]),
    latentShape: [1, 2, 1, 1],
    timings: { promptSeconds: 0, stepsSeconds: 0, decodeSeconds: 0 },
  };
}

function promptOf(task: TaskRequest): string {
  if ("prompt" in task.request) return task.request.prompt;
  const part = task.request.messages.at(-1)?.content[0];
  return part?.type === "text" ? part.text : "";
}

function greyPixel(): Pixels {
  return { width: 1, height: 1, data: new Uint8ClampedArray([128, 128, 128, 255]) };
}
