// A session for a loop: captured where the device can, and proven before it is trusted. Capture replays a
// recorded command list; known onnxruntime bugs make some replays silently wrong (microsoft/onnxruntime
// #29594, #28325), so captured and uncaptured outputs are compared once, at load. One cause is known: a Reshape
// that writes an output is a copy, which the replay does not repeat; so is what onnxruntime fuses MatMul and
// Add of a bias [N] into. A loop body ends in a node that computes, or in a bias of shape [1, 1, N].
import { assert, present } from "../base/assert.ts";
import type { Graph } from "../graph/graph.ts";
import type { Runtime, Session, Tensor, TensorData, WeightTensors } from "./runtime.ts";

/** What a loop binds once and runs many times. */
export interface LoopBinding {
  readonly graph: Graph;
  readonly weights: WeightTensors;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Every output; created with `createStableTensor`. */
  readonly fetches: Readonly<Record<string, Tensor>>;
  /** The output that is compared: it must depend on the feeds alone, so that a second run repeats it. */
  readonly probe: string;
}

/** A bound loop body. */
export interface LoopSession {
  readonly isCaptured: boolean;
  /** Why it is not captured, for `model.info`; absent when it is, or when the device never captures. */
  readonly note?: string;
  /** Runs the body once over the bound tensors; returns when the work is queued. */
  run(): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * Compiles a loop body. On a GPU it is captured and proven: the second captured run (the first replay) must
 * give what an uncaptured run gives, else the uncaptured session is kept and the note says so.
 */
export async function createLoopSession(
  runtime: Runtime,
  binding: LoopBinding,
): Promise<LoopSession> {
  const { graph, weights } = binding;
  const plain = await runtime.createSession(graph, weights);
  if (runtime.backend === "wasm") return bind(plain, binding);

  const expected = await probeAfter(runtime, plain, binding, 1);
  let captured: Session | undefined;
  let note: string;
  try {
    captured = await runtime.createSession(graph, weights, { capture: true });
    const replayed = await probeAfter(runtime, captured, binding, 2);
    if (isSame(expected, replayed)) {
      await plain.dispose();
      return bind(captured, binding);
    }
    note = `${graph.name}: the captured run gave other numbers, so the loop runs uncaptured`;
  } catch (cause) {
    note = `${graph.name}: could not be captured (${String(cause)}), so the loop runs uncaptured`;
  }
  await captured?.dispose();
  return { ...bind(plain, binding), note };
}

function bind(session: Session, { feeds, fetches }: LoopBinding): LoopSession {
  return {
    isCaptured: session.isCaptured,
    run: async () => {
      await session.run(feeds, fetches);
    },
    dispose: () => session.dispose(),
  };
}

async function probeAfter(
  runtime: Runtime,
  session: Session,
  { feeds, fetches, probe }: LoopBinding,
  runs: number,
): Promise<TensorData> {
  const output = present(fetches[probe], `output ${probe}`);
  for (let run = 0; run < runs; run++) {
    // A stale output would hide a replay that does nothing.
    runtime.write(output, new Uint8Array(output.byteLength));
    await session.run(feeds, fetches);
  }
  return runtime.read(output);
}

// The same kernels in the same order: equal bits were seen on every adapter tried. A tolerance would only
// hide a misbound buffer.
function isSame(a: TensorData, b: TensorData): boolean {
  assert(a.length === b.length, "both runs have the same output");
  return a.every((value, index) => Object.is(value, b[index]));
}
