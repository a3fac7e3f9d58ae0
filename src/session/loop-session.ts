// A session for a loop: captured where the device can, and proven before it is trusted. Capture replays a
// recorded command list; known onnxruntime bugs make some replays silently wrong (microsoft/onnxruntime
// #29594, #28325), so captured and uncaptured outputs are compared once, at load. One cause is known: a Reshape
// that writes an output is a copy, which the replay does not repeat; so is what onnxruntime fuses MatMul and
// Add of a bias [N] into. A loop body ends in a node that computes, or in a bias of shape [1, 1, N].
import { assert, present } from "../base/assert.ts";
import { f32ToF16 } from "../base/float16.ts";
import { elementCount } from "../base/shape.ts";
import type { Graph } from "../graph/graph.ts";
import type { Runtime, Session, Tensor, TensorData, WeightTensors } from "./runtime.ts";

/** What a loop binds once and runs many times. */
export interface LoopBinding {
  readonly graph: Graph;
  readonly weights: WeightTensors;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /**
   * Every output; created with `createStableTensor`. One whose tensor is a feed too is state that is updated in
   * place, such as a cache; all others must depend on feeds and state alone, and are compared.
   */
  readonly fetches: Readonly<Record<string, Tensor>>;
  /**
   * Feeds that the proof fills with numbers of its own and puts back, at least one: floats, and ids, which
   * become 0 and 1. Lengths, positions and tables are none of these.
   */
  readonly freeFeeds: readonly string[];
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
 * give what an uncaptured run gives, in every output that is not state. The first run has other numbers, so that
 * a step which is not replayed shows, also one that only fills a cache. Else the uncaptured session is kept and
 * the note says so. What outputs and state hold afterwards is of no use.
 */
export async function createLoopSession(
  runtime: Runtime,
  binding: LoopBinding,
): Promise<LoopSession> {
  const plain = await runtime.createSession(binding.graph, binding.weights);
  if (runtime.backend === "wasm") return bind(plain, binding);

  const putBack = keepFreeFeeds(runtime, binding);
  try {
    const captured = await prove(runtime, plain, binding);
    if (typeof captured === "string") return { ...bind(plain, binding), note: captured };
    await plain.dispose();
    return bind(captured, binding);
  } finally {
    putBack();
  }
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

/** The captured session, or why there is none. */
async function prove(
  runtime: Runtime,
  plain: Session,
  binding: LoopBinding,
): Promise<Session | string> {
  const { graph, weights } = binding;
  const expected = await outputsAfter(runtime, plain, binding, [1]);
  let captured: Session | undefined;
  let reason: string;
  try {
    captured = await runtime.createSession(graph, weights, { capture: true });
    const replayed = await outputsAfter(runtime, captured, binding, [0, 1]);
    const wrong = [...expected].filter(([name, data]) => !isSame(data, replayed.get(name)));
    if (wrong.length === 0) return captured;
    reason = `the captured run gave other numbers in ${wrong.map(([name]) => name).join(", ")}`;
  } catch (cause) {
    reason = `could not be captured (${String(cause)})`;
  }
  await captured?.dispose();
  return `${graph.name}: ${reason}, so the loop runs uncaptured`;
}

/** Keeps what free feeds hold; the result puts it back. */
function keepFreeFeeds(runtime: Runtime, { feeds, freeFeeds }: LoopBinding): () => void {
  assert(freeFeeds.length > 0, "a proof changes at least one feed");
  const kept = freeFeeds.map((name) => {
    const feed = present(feeds[name], `feed ${name}`);
    const copy = runtime.createTensor(feed.dtype, feed.shape);
    runtime.copy(feed, copy);
    return { feed, copy };
  });
  return () => {
    for (const { feed, copy } of kept) {
      runtime.copy(copy, feed);
      copy.dispose();
    }
  };
}

/** One run for each trial; every output of the last one that is not state. */
async function outputsAfter(
  runtime: Runtime,
  session: Session,
  { feeds, fetches, freeFeeds }: LoopBinding,
  trials: readonly Trial[],
): Promise<Map<string, TensorData>> {
  const state = new Set(Object.values(feeds));
  const outputs = Object.entries(fetches).filter(([, tensor]) => !state.has(tensor));
  assert(outputs.length > 0, "a proof compares at least one output");
  for (const trial of trials) {
    for (const name of freeFeeds) {
      const feed = present(feeds[name], `feed ${name}`);
      runtime.write(feed, trialNumbers(feed, trial));
    }
    for (const [, output] of outputs) runtime.write(output, staleBytes(output));
    await session.run(feeds, fetches);
  }
  const read = new Map<string, TensorData>();
  for (const [name, output] of outputs) read.set(name, await runtime.read(output));
  return read;
}

/** Which of two sets of numbers; ids of every table. */
type Trial = 0 | 1;

function trialNumbers({ dtype, shape }: Tensor, trial: Trial): ArrayBufferView {
  const count = elementCount(shape);
  if (dtype === "i32") return new Int32Array(count).fill(trial);
  const waves = Float32Array.from({ length: count }, (_, n) => Math.sin(n * 1.37 + trial + 0.3));
  assert(dtype === "f32" || dtype === "f16", `a free feed holds floats or ids, not ${dtype}`);
  return dtype === "f16" ? f32ToF16(waves) : waves;
}

// A stale output would hide a replay that does nothing; and so would zeros, where zeros are right. As f32 these
// bytes are 1.5e16, as f16 203.
function staleBytes({ byteLength }: Tensor): Uint8Array {
  return new Uint8Array(byteLength).fill(0x5a);
}

// The same kernels in the same order: equal bits were seen on every adapter tried. A tolerance would only
// hide a misbound buffer.
function isSame(a: TensorData, b: TensorData | undefined): boolean {
  assert(a.length === b?.length, "both runs have the same output");
  return a.every((value, index) => Object.is(value, b[index]));
}
