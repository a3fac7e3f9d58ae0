// The benchmark's page: what a user waits for, measured through the public API, and the flow loop measured
// in a worker of its own. test/bench/run.mjs opens it and prints the rows.
import { wrap } from "comlink";
import { cache, loadModel } from "web-umm";
import type { BackendKind, Model, Quantization, SourceInput } from "web-umm";
import { present } from "../../src/base/assert.ts";
import { LARGER, randomJanusFlow } from "../support/random-janus-flow.ts";
import type { FlowMeasurement, FlowWorker } from "./flow-worker.ts";
import type { Row } from "./row.ts";

/** What the runner asks for. */
export interface BenchRequest {
  /** Folder of the checkpoint, relative to the page. */
  readonly modelUrl: string;
  readonly modelName: string;
  /** Measure a larger model with random weights, which takes its tokenizer from the folder. */
  readonly isRandom: boolean;
  readonly backend: BackendKind;
  readonly quantization: Quantization;
  readonly steps: number;
  readonly rounds: number;
}

/** What the page gives back. */
export interface BenchReport {
  readonly adapter: string;
  readonly rows: readonly Row[];
}

declare global {
  /** Called by the runner. */
  var runBench: ((request: BenchRequest) => Promise<BenchReport>) | undefined;
}

const PROMPT = "a red circle left of a blue square";
const QUESTIONS = ["describe the picture", "what do you see"];
/** Random weights never come to an end by themselves. */
const MAX_TOKENS = 16;

globalThis.runBench = runBench;

async function runBench(request: BenchRequest): Promise<BenchReport> {
  const { backend, quantization } = request;
  const source = await findModel(request);
  const load = (): Promise<Model> => loadModel(source, { backend, quantization });
  await cache.clear();
  const [cold, coldSeconds] = await timed(load);
  await cold.dispose();
  const [model, warmSeconds] = await timed(load);
  const picture = await drawOnce(model, request);
  const msPerToken = await answerOnce(model, picture.image);
  const { family, info } = model;
  await model.dispose();
  const { key } = present((await cache.list())[0], "stored model");
  const flow = await measureFlow(request, key);
  const row = rowMaker(family, request.modelName);
  const { submits, readbacks } = picture;
  return {
    adapter: info.device,
    rows: [
      row("load.coldSeconds", coldSeconds, "s"),
      row("load.warmSeconds", warmSeconds, "s", coldSeconds),
      row("image.seconds", picture.seconds, "s"),
      row("image.readbacks", readbacks, "count"),
      row("image.submits", submits, "count"),
      row("text.msPerToken", msPerToken, "ms"),
      ...flowRows(row, flow, request.steps),
    ],
  };
}

const SIDE_FILES = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "processor_config.json",
];

async function findModel({ modelUrl, isRandom }: BenchRequest): Promise<SourceInput> {
  const folder = new URL(modelUrl, document.baseURI);
  if (!isRandom) return folder;
  const texts = SIDE_FILES.map(async (name) => {
    const response = await fetch(new URL(name, folder));
    return [name, await response.text()] as const;
  });
  return {
    files: await saveFolder(randomJanusFlow(LARGER, Object.fromEntries(await Promise.all(texts)))),
  };
}

// In the page's own file system: such a handle reaches the worker with its folders, made-up files lose theirs.
async function saveFolder(
  files: ReadonlyMap<string, string | Uint8Array<ArrayBuffer>>,
): Promise<FileSystemDirectoryHandle> {
  const storage = await navigator.storage.getDirectory();
  const root = await storage.getDirectoryHandle("random-janusflow", { create: true });
  for (const [path, content] of files) {
    const [name = path, ...folders] = path.split("/").toReversed();
    let folder = root;
    for (const part of folders.toReversed()) {
      folder = await folder.getDirectoryHandle(part, { create: true });
    }
    const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
    await writable.write(content);
    await writable.close();
  }
  return root;
}

type RowMaker = (metric: string, value: number, unit: Row["unit"], baseline?: number) => Row;

function rowMaker(family: string, model: string): RowMaker {
  return (metric, value, unit, baseline) => ({
    family,
    model,
    metric,
    value,
    unit,
    ...(baseline === undefined ? {} : { baseline, ratio: value / baseline }),
  });
}

function flowRows(row: RowMaker, flow: FlowMeasurement, steps: number): Row[] {
  const { residentMs, plainMs, traffic, plainTraffic, gpuMs, timedMs } = flow;
  const hasClock = gpuMs !== undefined && timedMs !== undefined;
  return [
    row("flow.msPerStep", residentMs / steps, "ms"),
    row("flow.naive", plainMs / steps, "ms", residentMs / steps),
    row("flow.readbacks", traffic.readbacks, "count"),
    row("flow.naiveReadbacks", plainTraffic.readbacks, "count"),
    row("flow.awaits", traffic.drains, "count"),
    row("flow.uploads", traffic.uploads, "count"),
    row("flow.submits", traffic.submits, "count"),
    ...(hasClock ? [row("flow.wallOverGpu", timedMs / gpuMs, "ratio")] : []),
  ];
}

interface DrawnOnce {
  readonly image: ImageData;
  readonly seconds: number;
  readonly readbacks: number;
  readonly submits: number;
}

async function drawOnce(model: Model, { steps }: BenchRequest): Promise<DrawnOnce> {
  await model.generateImage({ prompt: PROMPT, steps: 1, seed: 1 }); // warms up
  const before = model.info.traffic;
  const [{ images }, seconds] = await timed(() =>
    model.generateImage({ prompt: PROMPT, steps, seed: 1 }),
  );
  const after = model.info.traffic;
  return {
    image: present(images[0], "picture").imageData,
    seconds,
    readbacks: after.readbacks - before.readbacks,
    submits: after.submits - before.submits,
  };
}

async function answerOnce(model: Model, image: ImageData): Promise<number> {
  let milliseconds = 0;
  let tokens = 0;
  for (const text of ["warm up", ...QUESTIONS]) {
    const content = [
      { type: "image", image },
      { type: "text", text },
    ] as const;
    const { usage } = await model.generateText({
      messages: [{ role: "user", content }],
      maxTokens: MAX_TOKENS,
    });
    if (text === "warm up") continue;
    milliseconds += usage.decodeSeconds * 1000;
    tokens += usage.completionTokens;
  }
  return milliseconds / tokens;
}

async function measureFlow(
  { backend, steps, rounds }: BenchRequest,
  manifestKey: string,
): Promise<FlowMeasurement> {
  const worker = new Worker(new URL("./flow-worker.ts", import.meta.url), { type: "module" });
  const broken = new Promise<never>((_, reject) => {
    worker.addEventListener("error", ({ message }) => reject(new Error(message)));
  });
  try {
    const remote = wrap<FlowWorker>(worker);
    return await Promise.race([
      remote.measureFlow({ manifestKey, backend, steps, rounds }),
      broken,
    ]);
  } finally {
    worker.terminate();
  }
}

async function timed<T>(work: () => PromiseLike<T>): Promise<[T, number]> {
  const started = performance.now();
  const result = await work();
  return [result, (performance.now() - started) / 1000];
}
