// The contract between what computes and everything above it: tensors, sessions and the few kernels that
// the loops need. Two implementations: webgpu-runtime.ts (the product) and wasm-runtime.ts (small models
// where there is no WebGPU; the same graphs on onnxruntime's CPU provider, kernels in TypeScript).
import type { DType, FloatType } from "../base/dtype.ts";
import type { Shape } from "../base/shape.ts";
import type { Graph } from "../graph/graph.ts";

/** Where a runtime computes. */
export type BackendKind = "webgpu" | "wasm";

/** Numbers in memory, as they are read back: f16 comes back widened to Float32Array. */
export type TensorData = Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Memory with a dtype and a shape. GPU memory never leaves its worker. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly byteLength: number;
  /** Frees the memory at once. Calling it twice is harmless. */
  dispose(): void;
}

/** A compiled graph. Feeds and fetches are by port name. */
export interface Session {
  readonly name: string;
  /**
   * True when runs replay the command list of the first one. On the wasm backend always false, but a
   * session that was asked to capture keeps the same rules there.
   */
  readonly isCaptured: boolean;
  /**
   * Runs the graph once. Returns before the GPU is done; outputs stay on the GPU.
   *
   * All feeds are tensors, also lengths that onnxruntime wants on the CPU: an uncaptured run reads such a
   * tensor back (GroupQueryAttention's total_sequence_length: one read back a run), a captured one does not.
   *
   * @param feeds - every non-weight input. A captured session keeps those of its first run: change their
   * contents, never the tensors. Its first run records and uploads; later runs upload nothing.
   * @param fetches - tensors that receive outputs; outputs not named are allocated and owned by the caller.
   * A captured session wants every output here, in tensors of `createStableTensor`.
   * @throws TypeError for a port that is missing, unknown, or of another dtype or shape, and when a captured
   * session is given other tensors than in its first run
   * @throws ModelError device-lost | out-of-memory
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>>;
  /** Frees the compiled graph, once; harmless after a device loss. */
  dispose(): Promise<void>;
}

/** Counts since the runtime began. Tests and the benchmark assert and print differences of these. */
export interface Counters {
  /** mapAsync calls: GPU memory read back to JavaScript. */
  readonly readbacks: number;
  /** writeBuffer and mapped-at-creation uploads. */
  readonly uploads: number;
  /** queue.submit calls. */
  readonly submits: number;
  /** Waits until everything submitted so far is done (the queue runs dry). */
  readonly drains: number;
  /** Paced waits for a step before the newest one (the queue never runs dry). */
  readonly fences: number;
}

/** Where the weights of a graph come from: stored part name -> tensor, in the runtime's float type. */
export type WeightTensors = ReadonlyMap<string, Tensor>;

/** Bytes that a runtime holds, for `model.info`. */
export interface MemoryUse {
  readonly tensorBytes: number;
  readonly peakTensorBytes: number;
}

/** A device and its onnxruntime. One per worker. */
export interface Runtime {
  readonly backend: BackendKind;
  /** Type that graphs compute in. */
  readonly float: FloatType;
  /** Human readable device: adapter vendor, architecture, description; "wasm" without one. */
  readonly device: string;
  /** The device is an emulator of a GPU. */
  readonly isSoftware: boolean;
  readonly counters: Counters;
  readonly memory: MemoryUse;
  /** Largest bytes of one tensor on this device. */
  readonly maxTensorBytes: number;

  /** Compiles a graph over weights that stay the caller's. `capture` wants static shapes and one set of feeds. */
  createSession(
    graph: Graph,
    weights: WeightTensors,
    options?: { readonly capture?: boolean },
  ): Promise<Session>;
  /**
   * Memory, zeroed or filled with `data` (raw bytes of the dtype).
   *
   * @throws RangeError when `data` has fewer or more bytes than the tensor
   * @throws ModelError out-of-memory when it is larger than `maxTensorBytes`; what the GPU itself cannot give
   * is thrown by the next `createSession`, `run` or `read`
   */
  createTensor(dtype: DType, shape: Shape, data?: ArrayBufferView): Tensor;
  /**
   * Zeroed memory that may be bound as an output of a captured session (onnxruntime must own its handle).
   * Once disposed it waits in onnxruntime's pool for the next stable tensor of that size.
   */
  createStableTensor(dtype: DType, shape: Shape): Promise<Tensor>;
  /** Overwrites bytes from `offsetBytes` (a multiple of 4) on; an upload. @throws RangeError */
  write(tensor: Tensor, data: ArrayBufferView, offsetBytes?: number): void;
  /**
   * Copies bytes between two tensors on the device, in queue order. All numbers are bytes, multiples of 4;
   * without a range what fits. @throws RangeError
   */
  copy(
    source: Tensor,
    target: Tensor,
    range?: { sourceOffset?: number; targetOffset?: number; bytes?: number },
  ): void;
  /**
   * Reads a tensor back; waits for the GPU. f16 comes widened, i64 as i32, bool as bytes.
   *
   * @throws ModelError device-lost | out-of-memory (of an earlier allocation)
   */
  read(tensor: Tensor): Promise<TensorData>;
  /**
   * A mark in the queue that settles when everything submitted before it is done. Awaiting the mark of an
   * earlier step paces a loop without letting the queue run dry. Rejects with device-lost; a mark that
   * nobody awaits may do so silently.
   */
  fence(): Promise<void>;
  readonly kernels: Kernels;
  /** Settles (never rejects) when the device is lost; the runtime is useless afterwards. */
  readonly lost: Promise<string>;
  dispose(): Promise<void>;
}

/** Bit of an id that `pickToken` must not pick. */
export const FORBIDDEN_TOKEN = 1;

/** Bit of an id that is in the context already; `pickToken` sets it for what it picks. */
export const SEEN_TOKEN = 2;

/** Last byte of a pixel that `packPixels` made of something infinite or no number. */
export const BROKEN_PIXEL = 0;

/** Last byte of a pixel whose three numbers are, bit by bit, those of the first pixel. */
export const SAME_PIXEL = 254;

/** What `pickToken` writes to `ids` where the logits are no numbers or all the same: an id that no token has. */
export const BROKEN_TOKEN = -1;

/** A kernel with its tensors bound: one call records and submits one dispatch, uploading nothing. */
export type Dispatch = () => void;

/** The small programs between two runs of a graph. All tensors are f32 unless said. */
export interface Kernels {
  /**
   * One move of a solver, guided over the rows of the velocity, and the next time.
   *
   * v = sum of weights[r] * velocity[r], x <- start + delta * v for row i of `moves` (delta, ends the step),
   * start <- x where that ends a step, then i <- i + 1 and `time` <- row i of `times`. Past the last row
   * nothing changes. Where x is not finite after row i, the mark becomes at least evaluations - i: at the end
   * it tells the first row that broke, and nothing is read back on the way.
   */
  solverStep(binding: {
    /** x, written: [channels, height, width] elements, any shape. */
    readonly latents: Tensor;
    /** x at the start of the step, read and written; as long as latents. */
    readonly start: Tensor;
    /** One row for each weight, each as long as latents. */
    readonly velocity: Tensor;
    /** 1 to 4 numbers. */
    readonly weights: readonly number[];
    /** [evaluations, 2] */
    readonly moves: Tensor;
    /** [evaluations, width of time] */
    readonly times: Tensor;
    /** u32 [2], both 0 at the start: i, and the mark. */
    readonly progress: Tensor;
    /** What the velocity graph reads as its time. */
    readonly time: Tensor;
  }): Dispatch;

  /** mixed <- sum of weights[r] * rows[r]: guidance over logits. 1 to 4 rows, each as long as `mixed`. */
  mixRows(binding: {
    readonly rows: Tensor;
    readonly weights: readonly number[];
    readonly mixed: Tensor;
  }): Dispatch;

  /**
   * Picks the next token from logits and moves the sequence on by one.
   *
   * Writes the id to `token` and to `ids[count]`, then adds 1 to `count` and to every tensor in `advance`.
   * Ids that `rules` forbids are never picked. Logits of ids that were picked before are divided by
   * `repetitionPenalty` where positive, multiplied where negative (transformers' rule).
   * {@link BROKEN_TOKEN} goes to `ids`, and 0 to `token`, where a logit that may be picked is NaN or +Infinity,
   * where every one of those is -Infinity, and where two or more logits, picked or not, are bit by bit all the
   * same: memory that a device forgot. One id that is left by a mask is picked.
   * temperature 0 is argmax (lowest id wins ties). Else: logits / temperature, keep the topK largest, keep the
   * smallest set whose probability reaches topP, draw with a counter-based generator of (seed, count).
   */
  pickToken(binding: {
    /** f32 [vocabulary] or [1, 1, vocabulary] */
    readonly logits: Tensor;
    /** Ids from here on are padding rows of the head and never picked. */
    readonly vocabularySize: number;
    /** u32 [vocabulary], read and written: {@link FORBIDDEN_TOKEN} and {@link SEEN_TOKEN} bits of every id. */
    readonly rules: Tensor;
    /** 1 = none. */
    readonly repetitionPenalty: number;
    /** i32 [1, 1]: input of the next decode run. */
    readonly token: Tensor;
    /** i32 [capacity]: every picked id. */
    readonly ids: Tensor;
    /** i32 [1] */
    readonly count: Tensor;
    /** i32, every element: lengths and positions that grow with the sequence. */
    readonly advance: readonly Tensor[];
    readonly temperature: number;
    /** 0 = all. */
    readonly topK: number;
    /** 1 = all. */
    readonly topP: number;
    readonly seed: number;
  }): Dispatch;

  /**
   * Looks for what is no number in f32 or f16 of any shape: the report, zeros before, becomes their count, and
   * that count less the place of the first that is NaN or infinite, or 0 where there is none.
   */
  findBroken(binding: {
    readonly values: Tensor;
    /** u32 [2] */
    readonly report: Tensor;
  }): Dispatch;

  /**
   * Image tensor [3, height, width] in [-1, 1] -> u32 [height, width] of packed RGBA bytes (r lowest). The last
   * byte tells about the numbers: {@link BROKEN_PIXEL}, {@link SAME_PIXEL}, else 255.
   */
  packPixels(binding: {
    readonly image: Tensor;
    readonly packed: Tensor;
    readonly width: number;
    readonly height: number;
    /** "truncate": floor((x + 1) / 2 * 255); "round": floor((x + 1) / 2 * 255 + 0.5). */
    readonly rounding: "truncate" | "round";
  }): Dispatch;
}
