// Allocation k of a drawing fails, for a random k: the GPU has no memory left, or the tensor is larger than it allows.
// The drawing always ends with out-of-memory and its numbers; the page lives: the next drawing is the same, byte for
// byte, as one that nothing disturbed, and holds as much memory afterwards. Real loader, supervisor, engine and
// families; only threads and the GPU are stand-ins.
import { present } from "../../../src/base/assert.ts";
import { ModelError } from "../../../src/base/errors.ts";
import type { GenerateImageOptions } from "../../../src/base/options.ts";
import { loadModel } from "../../../src/client/load-model.ts";
import type { Model } from "../../../src/client/model.ts";
import { Engine } from "../../../src/engine/engine.ts";
import { compileStages } from "../../../src/engine/load-stages.ts";
import { importModel } from "../../../src/engine/import-model.ts";
import { Loader, type LoaderParts } from "../../../src/engine/loader.ts";
import { runTask } from "../../../src/engine/run-task.ts";
import { loaderParts } from "../../../src/engine/stored-models.ts";
import { uniformOf } from "../../../src/gpu/random.ts";
import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { fakeWorker } from "../../support/fake-worker.ts";
import { folderFiles } from "../../support/folder-files.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import { scarceRuntime, type ScarceRuntime, type Shortage } from "../sim/scarce-runtime.ts";
import { claim } from "../typed.ts";

/** Golden checkpoints and small drawings: codes behind caches, flows behind a prompt, two stages, both in one. */
const DRAWINGS: readonly (readonly [folder: string, options: Partial<GenerateImageOptions>])[] = [
  ["janus/a", {}],
  ["janus-flow/a", { steps: 2 }],
  ["omnigen/a", { steps: 2, width: 32, height: 32 }],
  ["pisces/a", { steps: 2 }],
  ["chameleon/anole", {}],
  ["transfusion/a", { steps: 2 }],
];
/** Counter of the random numbers that choose one. */
const ALLOCATION = 7;
const KINDS: readonly Shortage["kind"][] = ["exhausted", "limit"];

/** A page, and the runtime of its newest worker. */
interface Page {
  readonly model: Model;
  readonly runtime: () => ScarceRuntime;
}

interface Drawn {
  /** Latents and pixels. */
  readonly bytes: string;
  /** What tensors hold afterwards. */
  readonly heldBytes: number;
  readonly allocations: number;
}

/** A checkpoint that is stored, and a drawing of it that nothing disturbed. */
interface Subject {
  readonly name: string;
  readonly options: GenerateImageOptions;
  readonly files: File[];
  readonly store: WeightStore;
  readonly undisturbed: Drawn;
}

async function makeSubject(at: number): Promise<Subject> {
  const [name, asked] = present(DRAWINGS[at], "drawing");
  const files = folderFiles(new URL(`../../golden/${name}/checkpoint/`, import.meta.url));
  const options = { prompt: "a red square", seed: 1, ...asked };
  const store = new WeightStore(memoryKeyValue(), "memory");
  const page = await openPage({ files, store });
  const undisturbed = await draw(page, options);
  await page.model.dispose();
  return { name, options, files, store, undisturbed };
}

async function openPage({ files, store }: Pick<Subject, "files" | "store">): Promise<Page> {
  let newest: ScarceRuntime | undefined;
  const engine = new WorkerStarts(store, (runtime) => (newest = runtime));
  // Files lose their folder on the way to a stand-in of a thread.
  const location = { kind: "files", files } as const;
  const importFiles: LoaderParts["importModel"] = (request, tools) =>
    importModel({ ...request, location }, store, tools);
  const parts = { ...loaderParts(async () => store), importModel: importFiles };
  const loader = (): Worker => fakeWorker(new Loader(parts));
  const workers = { loader, engine: () => engine.start() };
  const model = await loadModel("golden/model", { quantization: "q8", backend: "wasm", workers });
  return {
    model,
    runtime() {
      if (newest === undefined) throw new Error("no engine was started");
      return newest;
    },
  };
}

/** Starts engines of their own runtimes, as a page starts workers. */
class WorkerStarts {
  readonly #store: WeightStore;
  readonly #onRuntime: (runtime: ScarceRuntime) => void;

  constructor(store: WeightStore, onRuntime: (runtime: ScarceRuntime) => void) {
    this.#store = store;
    this.#onRuntime = onRuntime;
  }

  start(): Worker {
    const engine = new Engine({
      runTask,
      loadStages: async ({ manifestKey, memoryBudgetBytes }, onProgress, signal) => {
        const runtime = scarceRuntime(await createWasmRuntime());
        const manifest = await this.#store.readManifest(manifestKey);
        if (manifest === undefined) throw new Error("the model is stored");
        this.#onRuntime(runtime);
        const request = { runtime, store: this.#store, manifest, memoryBudgetBytes };
        return compileStages({ ...request, onProgress, signal });
      },
    });
    return fakeWorker(engine);
  }
}

async function draw({ model, runtime }: Page, options: GenerateImageOptions): Promise<Drawn> {
  runtime().arm();
  const { latents, images } = await model.generateImage(options);
  const { allocations, memory } = runtime();
  const pixels = images.map(({ imageData }) => [...imageData.data]);
  const bytes = JSON.stringify([[...latents], ...pixels]);
  return { bytes, heldBytes: memory.tensorBytes, allocations };
}

async function failOnce(subject: Subject, seed: number): Promise<void> {
  const { undisturbed, options } = subject;
  const page = await openPage(subject);
  try {
    const allocation = Math.floor(undisturbed.allocations * uniformOf(seed, ALLOCATION));
    const kind = KINDS[seed % KINDS.length] ?? "exhausted";
    const what = `${subject.name}, allocation ${allocation}, ${kind}`;
    page.runtime().arm({ allocation, kind });
    const failure = await page.model.generateImage(options).catch((error: unknown) => error);
    claim(ModelError.isModelError(failure), `${what}: untyped: ${String(failure)}`);
    checkNumbers(failure as ModelError, what);
    const next = await draw(page, options);
    claim(next.bytes === undisturbed.bytes, `${what}: the next drawing is another`);
    const { heldBytes } = next;
    claim(
      heldBytes === undisturbed.heldBytes,
      `${what}: ${heldBytes - undisturbed.heldBytes} bytes are left`,
    );
  } finally {
    await page.model.dispose();
  }
}

function checkNumbers({ code, details, message }: ModelError, what: string): void {
  const { neededBytes, availableBytes } = details;
  claim(code === "out-of-memory", `${what}: ${code}: ${message}`);
  const areNumbers = typeof neededBytes === "number" && typeof availableBytes === "number";
  claim(areNumbers, `${what}: no numbers: ${message}`);
  claim(Number(neededBytes) > Number(availableBytes), `${what}: needed is not more: ${message}`);
}

/** What a worker has and Node lacks. */
function standIns(): Record<string, unknown> {
  return {
    GPUBufferUsage: { STORAGE: 128, COPY_SRC: 4, COPY_DST: 8 },
    GPUOutOfMemoryError: DOMException,
    ImageData: class {
      readonly data: Uint8ClampedArray;
      constructor(data: Uint8ClampedArray) {
        this.data = data;
      }
    },
  };
}

async function run(count: number, seed: number): Promise<RigResult> {
  const names = standIns();
  Object.assign(globalThis, names);
  try {
    const subjects = new Map<number, Promise<Subject>>();
    return await runSeeds({ count, seed }, async (one) => {
      // Each kind comes to each drawing.
      const at = Math.floor(one / KINDS.length) % DRAWINGS.length;
      const subject = subjects.get(at) ?? makeSubject(at);
      subjects.set(at, subject);
      await failOnce(await subject, one);
    });
  } finally {
    for (const name of Object.keys(names)) Reflect.deleteProperty(globalThis, name);
  }
}

/** See the top of the file. */
export const rig: Rig = {
  name: "out-of-memory",
  what: "allocation k of a drawing fails, random k",
  count: 50,
  slice: 5,
  allowed: "all typed, with numbers; 0 bytes left; the next drawing equal",
  run,
};
