// A graph on onnxruntime's WebGPU provider. Weights, inputs and outputs are buffers on our device; a
// captured session replays the command list of its first run.
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-web";
import { present } from "../base/assert.ts";
import type { LossGuard } from "../gpu/loss-guard.ts";
import type { GpuMemory } from "../gpu/tensor.ts";
import type { Graph } from "../graph/graph.ts";
import { ortFailure } from "./failures.ts";
import { GraphSession } from "./graph-session.ts";
import type { CompiledGraph } from "./graph-session.ts";
import { exclusive } from "./ort.ts";
import type { Ort } from "./ort.ts";
import type { OrtTensors } from "./ort-tensors.ts";
import { weightPorts } from "./ports.ts";
import type { Ports } from "./ports.ts";
import type { Session, Tensor, WeightTensors } from "./runtime.ts";

/** What sessions of one runtime share. */
export interface GpuSessionContext {
  readonly ort: Ort;
  readonly device: GPUDevice;
  readonly guard: LossGuard;
  readonly memory: GpuMemory;
  readonly tensors: OrtTensors;
}

type OrtPorts = Readonly<Record<string, OrtTensor>>;

/**
 * Compiles a graph for the GPU.
 *
 * @throws ModelError out-of-memory | device-lost; TypeError for a missing weight; Error when onnxruntime refuses
 */
export async function createGpuSession(
  context: GpuSessionContext,
  graph: Graph,
  weights: WeightTensors,
  isCaptured: boolean,
): Promise<Session> {
  const { ort, device, guard, memory, tensors } = context;
  guard.check();
  const weightFeeds = wrapAll(tensors, weightPorts(graph, weights));
  await guard.wait(memory.settle());
  const session = await callOrt(context, "compile", graph.name, () =>
    ort.InferenceSession.create(graph.bytes, {
      executionProviders: [{ name: "webgpu", device }],
      preferredOutputLocation: "gpu-buffer",
      enableGraphCapture: isCaptured,
      logSeverityLevel: 4,
    }),
  );
  const bound: BoundGraph = { context, graph, session, weightFeeds };
  return new GraphSession(
    graph,
    { isAsked: isCaptured, isReplayed: isCaptured },
    {
      run: isCaptured ? replayingRun(bound) : (feeds, fetches) => runOnce(bound, feeds, fetches),
      async release() {
        // With the device gone there is nothing to free, and onnxruntime must not be called.
        if (guard.isLost()) return;
        await callOrt(context, "release", graph.name, () => session.release());
      },
      isStable: (tensor) => tensors.isOwnedByOrt(tensor),
    },
  );
}

interface BoundGraph {
  readonly context: GpuSessionContext;
  readonly graph: Graph;
  readonly session: InferenceSession;
  readonly weightFeeds: OrtPorts;
}

async function runOnce(
  { context, graph, session, weightFeeds }: BoundGraph,
  feeds: Ports,
  fetches: Ports,
): Promise<Record<string, Tensor>> {
  const { memory, tensors } = context;
  memory.throwFailure();
  const ortFeeds = { ...weightFeeds, ...wrapAll(tensors, feeds) };
  const ortFetches = { ...unnamed(graph), ...wrapAll(tensors, fetches) };
  const results = await callOrt(context, "run", graph.name, () =>
    session.run(ortFeeds, ortFetches),
  );
  return collect(graph, results, fetches, tensors);
}

// The first run records and binds; what follows replays. A replay is told no inputs and no outputs: they
// are bound already, and naming 300 weights again costs 0.5 ms a run (0.65 against 0.17, Chromium 156). The
// inputs hide on the prototype, where onnxruntime's check for missing ones finds them and its loop over
// own entries does not. Naming outputs again would leak some 30 bytes each (1.30), so the handles that
// come back instead are given back at once.
function replayingRun(bound: BoundGraph): CompiledGraph["run"] {
  const { context, graph, session, weightFeeds } = bound;
  let hiddenFeeds: OrtPorts | undefined;
  return async (feeds, fetches) => {
    if (!hiddenFeeds) {
      const outputs = await runOnce(bound, feeds, fetches);
      hiddenFeeds = hidden({ ...weightFeeds, ...wrapAll(context.tensors, feeds) });
      return outputs;
    }
    const replayFeeds = hiddenFeeds;
    context.memory.throwFailure();
    await callOrt(context, "run", graph.name, async () => {
      const handles = await session.run(replayFeeds);
      for (const handle of Object.values(handles)) handle.dispose();
    });
    return { ...fetches };
  };
}

function hidden(ports: OrtPorts): OrtPorts {
  return Object.setPrototypeOf({}, ports) as OrtPorts;
}

/**
 * One turn of onnxruntime. A lost device is never handed to it: it freezes the worker at the second call.
 *
 * @param action - "compile", "run": for the error's text
 * @throws ModelError device-lost | out-of-memory; Error with the graph's name
 */
export async function callOrt<T>(
  { guard, memory }: GpuSessionContext,
  action: string,
  graphName: string,
  call: () => Promise<T>,
): Promise<T> {
  guard.check();
  const turn = exclusive(async () => {
    guard.check();
    try {
      return await call();
    } catch (error) {
      // If a loss is why, its event is still to come: it must be known before the next turn.
      await new Promise((resolve) => setTimeout(resolve, 0));
      throw error;
    }
  });
  return guard.wait(turn).catch(async (error: unknown) => {
    // Where the GPU had refused memory, that is why, and it is known with numbers.
    await guard.wait(memory.settle());
    throw ortFailure(action, graphName, error);
  });
}

function wrapAll(tensors: OrtTensors, ports: Ports): Record<string, OrtTensor> {
  const wrapped: Record<string, OrtTensor> = {};
  for (const [name, tensor] of Object.entries(ports)) wrapped[name] = tensors.wrap(tensor);
  return wrapped;
}

// null: onnxruntime allocates the output.
function unnamed(graph: Graph): Record<string, null> {
  return Object.fromEntries(graph.outputs.map(({ name }) => [name, null]));
}

function collect(
  graph: Graph,
  results: Readonly<Record<string, OrtTensor>>,
  fetches: Ports,
  tensors: OrtTensors,
): Record<string, Tensor> {
  const outputs: Record<string, Tensor> = {};
  for (const { name } of graph.outputs) {
    outputs[name] = fetches[name] ?? tensors.adopt(present(results[name], `output ${name}`));
  }
  return outputs;
}
