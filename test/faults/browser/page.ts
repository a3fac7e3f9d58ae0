// The page of the rigs that need a browser: a model through the public API, accidents on demand, and what came of
// a drawing as one line of text. The rigs drive it with Playwright.
import { cache, loadModel, ModelError } from "web-umm";
import type { BackendKind, LoadPhase, Model, ModelInfo } from "web-umm";
import { present } from "../../../src/base/assert.ts";
import type { Accident } from "./accidents.ts";
import { ACCIDENTS_CHANNEL } from "./accidents.ts";

/** One drawing. */
export interface DrawRequest {
  readonly seed: number;
  readonly steps: number;
  readonly previewEvery?: number;
  /** Aborts at this step. */
  readonly abortAt?: number;
}

/** What came of it. */
export interface DrawReport {
  /** SHA-256 of the latents and the pixels; absent when it was rejected. */
  readonly hash?: string;
  /** "step 1", "preview 1", "image 0": everything that was told, in order. */
  readonly told: readonly string[];
  /** Code or name of the error. */
  readonly error?: string;
  readonly ms: number;
  /** How often the model came back by now. */
  readonly recoveries: number;
}

/** What the rigs call. */
export interface FaultPage {
  /** Loads the model anew; `clear` deletes what is stored before. */
  load(url: string, backend: BackendKind, clear?: boolean): Promise<ModelInfo>;
  /** As `load`, of a stored model, on a GPU that is lost the first time that the load comes to a phase. */
  loadAndLose(url: string, phase: LoadPhase): Promise<ModelInfo>;
  draw(request: DrawRequest): Promise<DrawReport>;
  /** Makes an accident happen now. */
  suffer(accident: Accident): void;
  /** Settles when the model has come back this often. */
  recovered(times: number): Promise<void>;
  info(): ModelInfo;
  /** Attempts to come back since the last load began. */
  attempts(): number;
  dispose(): Promise<void>;
}

declare global {
  /** Called by the rigs. */
  var faults: FaultPage | undefined;
}

const channel = new BroadcastChannel(ACCIDENTS_CHANNEL);
const workers = {
  engine: () => new Worker(new URL("./losing-engine.ts", import.meta.url), { type: "module" }),
};
let model: Model | undefined;
const load: { phase?: LoadPhase; attempts: number } = { attempts: 0 };

function suffer(accident: Accident): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has none
  channel.postMessage(accident);
}

globalThis.faults = {
  async load(url, backend, clear = false) {
    if (clear) await cache.clear();
    return loadAnew(url, backend);
  },
  loadAndLose(url, phase) {
    let isLost = false;
    return loadAnew(url, "webgpu", (now) => {
      if (now !== phase || isLost) return;
      isLost = true;
      suffer("lose");
    });
  },
  draw,
  suffer,
  async recovered(times) {
    while (loaded().info.recoveries < times || load.phase !== "ready") {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  info: () => loaded().info,
  attempts: () => load.attempts,
  async dispose() {
    await model?.dispose();
    model = undefined;
  },
};

async function loadAnew(
  url: string,
  backend: BackendKind,
  onPhase: (phase: LoadPhase) => void = () => undefined,
): Promise<ModelInfo> {
  await model?.dispose();
  load.attempts = 0;
  const onProgress = ({ phase }: { readonly phase: LoadPhase }): void => {
    load.phase = phase;
    if (phase === "recover") load.attempts += 1;
    onPhase(phase);
  };
  model = await loadModel(url, { backend, quantization: "q8", workers, onProgress });
  return model.info;
}

async function draw(request: DrawRequest): Promise<DrawReport> {
  const { seed, steps, previewEvery = 0, abortAt } = request;
  const started = performance.now();
  const controller = new AbortController();
  const { signal } = controller;
  const told: string[] = [];
  const report = (rest: Pick<DrawReport, "hash" | "error">): DrawReport => {
    const { recoveries } = loaded().info;
    return { told, ms: performance.now() - started, recoveries, ...rest };
  };
  const options = { prompt: "a red circle", seed, steps, previewEvery, signal };
  try {
    const run = loaded().generateImage(options);
    for await (const event of run) {
      told.push(`${event.type} ${event.type === "image" ? event.image : event.step}`);
      if (event.type === "step" && event.step === abortAt) controller.abort(new Error("enough"));
    }
    const { latents, images } = await run;
    const pixels = images.map((image) => image.imageData.data);
    return report({ hash: await hash([latents, ...pixels]) });
  } catch (error) {
    const isModelError = ModelError.isModelError(error);
    return report({ error: isModelError ? error.code : String(error) });
  }
}

async function hash(parts: readonly (Float32Array | Uint8ClampedArray)[]): Promise<string> {
  const bytes = await new Blob(parts.map((part) => part.slice())).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function loaded(): Model {
  return present(model, "a loaded model");
}
