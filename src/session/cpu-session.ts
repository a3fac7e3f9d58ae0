// A graph on onnxruntime's CPU provider. Outputs are copied into the fetched tensors, because
// onnxruntime-web does not write into CPU memory that it is handed.
import type { Tensor as OrtTensor } from "onnxruntime-web";
import { assert, present } from "../base/assert.ts";
import type { MemoryAccount } from "../base/memory-meter.ts";
import type { Graph } from "../graph/graph.ts";
import { CpuTensor } from "./cpu-tensor.ts";
import { ortFailure } from "./failures.ts";
import { GraphSession } from "./graph-session.ts";
import { exclusive } from "./ort.ts";
import type { Ort } from "./ort.ts";
import { dtypeOf, ortTypeOf } from "./ort-types.ts";
import { weightPorts } from "./ports.ts";
import type { Ports } from "./ports.ts";
import type { Session, Tensor, WeightTensors } from "./runtime.ts";

/** What a CPU session is made from. */
export interface CpuSessionOptions {
  readonly ort: Ort;
  readonly graph: Graph;
  readonly weights: WeightTensors;
  readonly isCaptured: boolean;
  readonly account: MemoryAccount;
  /** Called once for every run. */
  readonly onRun: () => void;
}

/** Compiles a graph for the CPU. @throws ModelError out-of-memory; Error when the graph is refused */
export async function createCpuSession(options: CpuSessionOptions): Promise<Session> {
  const { ort, graph, weights, isCaptured, account, onRun } = options;
  const weightFeeds = weightPorts(graph, weights);
  const session = await exclusive(() =>
    ort.InferenceSession.create(graph.bytes, { executionProviders: ["wasm"], logSeverityLevel: 4 }),
  ).catch((error: unknown) => {
    throw ortFailure("compile", graph.name, error);
  });
  // Nothing is replayed here; the rules of a captured session hold all the same, so that a loop that
  // breaks them fails in tests without a GPU too.
  return new GraphSession(
    graph,
    { isAsked: isCaptured, isReplayed: false },
    {
      async run(feeds, fetches) {
        onRun();
        const bound = ortFeeds(ort, { ...weightFeeds, ...feeds });
        const results = await exclusive(() => session.run(bound)).catch((error: unknown) => {
          throw ortFailure("run", graph.name, error);
        });
        return collect(graph, results, fetches, account);
      },
      release: () => exclusive(() => session.release()),
      isStable: (tensor) => tensor instanceof CpuTensor && tensor.isStable,
    },
  );
}

function ortFeeds(ort: Ort, ports: Ports): Record<string, OrtTensor> {
  const feeds: Record<string, OrtTensor> = {};
  for (const [name, tensor] of Object.entries(ports)) {
    assert(tensor instanceof CpuTensor, `input ${name} is a tensor of the wasm runtime`);
    feeds[name] = new ort.Tensor(ortTypeOf(tensor.dtype), tensor.values, tensor.shape);
  }
  return feeds;
}

function collect(
  graph: Graph,
  results: Readonly<Record<string, OrtTensor>>,
  fetches: Ports,
  account: MemoryAccount,
): Record<string, Tensor> {
  const outputs: Record<string, Tensor> = {};
  for (const { name } of graph.outputs) {
    const result = present(results[name], `output ${name}`);
    const target = fetches[name] ?? new CpuTensor(dtypeOf(result.type), result.dims, account);
    assert(target instanceof CpuTensor, `output ${name} is a tensor of the wasm runtime`);
    const { data } = result;
    assert(ArrayBuffer.isView(data), `output ${name} holds numbers`);
    assert(data.byteLength === target.byteLength, `output ${name} has ${target.byteLength} bytes`);
    target.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    outputs[name] = target;
  }
  return outputs;
}
