// Measures the flow loop where it runs: in a worker, on a stored model, without the layers above it.
import { expose } from "comlink";
import { assert, present } from "../../src/base/assert.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import { loadStages } from "../../src/engine/load-stages.ts";
import type { BackendKind, Counters } from "../../src/session/runtime.ts";
import { largestDifference } from "../support/closeness.ts";
import { plainLoop, residentLoop } from "./flow-loops.ts";
import type { LoopSetting } from "./flow-loops.ts";
import { gpuMilliseconds, installGpuClock } from "./gpu-clock.ts";

/** What is measured. */
export interface FlowRequest {
  /** `key` of an entry of `cache.list()`. */
  readonly manifestKey: string;
  readonly backend: BackendKind;
  readonly steps: number;
  /** Times that each loop runs, in turns; the median counts. */
  readonly rounds: number;
}

/** What was measured, of one whole loop. */
export interface FlowMeasurement {
  readonly residentMs: number;
  readonly plainMs: number;
  /** Sum of the compute passes of the resident loop, and how long that loop took. */
  readonly gpuMs?: number;
  readonly timedMs?: number;
  /** What crossed between JavaScript and the GPU in the resident loop. */
  readonly traffic: Counters;
  readonly plainTraffic: Counters;
}

installGpuClock();
expose({ measureFlow });

/** The functions of this worker. */
export interface FlowWorker {
  measureFlow(request: FlowRequest): Promise<FlowMeasurement>;
}

async function measureFlow({
  manifestKey,
  backend,
  steps,
  rounds,
}: FlowRequest): Promise<FlowMeasurement> {
  const none = new AbortController().signal;
  const model = await loadStages({ manifestKey, backend }, () => undefined, none);
  const { runtime, draw } = model.stages;
  const artist = present(draw, "draw");
  const drawing = await artist.prepare({
    ...artist.defaults([]),
    prompt: "a red circle left of a blue square",
    images: [],
    seed: 1,
    count: 1,
    steps,
  });
  assert(drawing instanceof FlowDrawing, "the model draws by a flow");
  const setting: LoopSetting = { runtime, drawing };
  const resident: Timed[] = [];
  const plain: Timed[] = [];
  for (let round = 0; round < rounds; round++) {
    resident.push(await timed(setting, residentLoop));
    const latents = await runtime.read(drawing.parts.field.latents);
    plain.push(await timed(setting, plainLoop));
    const difference = largestDifference(latents, await runtime.read(drawing.parts.field.latents));
    assert(difference < 1e-2, `both loops do the same work; they differ by ${difference}`);
  }
  let timedMs = 0;
  const gpuMs = await gpuMilliseconds(async () => {
    timedMs = await milliseconds(() => residentLoop(setting));
  });
  await model.dispose();
  return {
    residentMs: median(resident.map(({ ms }) => ms)),
    plainMs: median(plain.map(({ ms }) => ms)),
    traffic: present(resident[0], "round").traffic,
    plainTraffic: present(plain[0], "round").traffic,
    ...(gpuMs === undefined ? {} : { gpuMs, timedMs }),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return present(sorted[Math.floor(sorted.length / 2)], "measured round");
}

async function milliseconds(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** One whole loop: how long it took and what crossed between JavaScript and the GPU. */
interface Timed {
  readonly ms: number;
  readonly traffic: Counters;
}

async function timed(
  setting: LoopSetting,
  loop: (setting: LoopSetting) => Promise<void>,
): Promise<Timed> {
  const before = { ...setting.runtime.counters };
  const ms = await milliseconds(() => loop(setting));
  const after = setting.runtime.counters;
  const traffic = {
    readbacks: after.readbacks - before.readbacks,
    uploads: after.uploads - before.uploads,
    submits: after.submits - before.submits,
    drains: after.drains - before.drains,
    fences: after.fences - before.fences,
  };
  return { ms, traffic };
}
