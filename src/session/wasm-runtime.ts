// The runtime without a GPU, for small models: onnxruntime's CPU provider, tensors in JavaScript memory,
// kernels in TypeScript. Same contract as webgpu-runtime.ts; works in browsers, workers and Node.
import type { DType } from "../base/dtype.ts";
import { MemoryMeter } from "../base/memory-meter.ts";
import type { Shape } from "../base/shape.ts";
import type { Graph } from "../graph/graph.ts";
import { createCpuKernels } from "./cpu-kernels.ts";
import { CpuTensor, MAX_CPU_TENSOR_BYTES, readableCopy } from "./cpu-tensor.ts";
import { createCpuSession } from "./cpu-session.ts";
import { ortFailure } from "./failures.ts";
import { exclusive, loadOrt } from "./ort.ts";
import type { Ort } from "./ort.ts";
import type { Counters, Runtime, Session, Tensor, TensorData, WeightTensors } from "./runtime.ts";
import { checkCopy, checkWhole, checkWrite } from "./ranges.ts";
import { expandModel } from "./stable-tensors.ts";

/**
 * Starts onnxruntime's CPU build in this worker. Graphs compute in f32.
 *
 * A session that is asked to capture is an ordinary one here (`isCaptured` is false) with the rules of
 * a captured one.
 *
 * @throws ModelError download-failed when a file of onnxruntime cannot be loaded
 */
export async function createWasmRuntime(): Promise<Runtime> {
  try {
    const ort = await loadOrt("cpu");
    // Loads the wasm now, so that a file that is missing is known before a model is in memory.
    await exclusive(async () => {
      const session = await ort.InferenceSession.create(expandModel("f32", 1), {
        executionProviders: ["wasm"],
      });
      await session.release();
    });
    return new WasmRuntime(ort);
  } catch (error) {
    throw ortFailure("start", "onnxruntime", error);
  }
}

class WasmRuntime implements Runtime {
  readonly backend = "wasm";
  readonly float = "f32";
  readonly device = "wasm";
  readonly isSoftware = false;
  readonly maxTensorBytes = MAX_CPU_TENSOR_BYTES;
  readonly counters: { -readonly [Name in keyof Counters]: number } = {
    readbacks: 0,
    uploads: 0,
    submits: 0,
    drains: 0,
    fences: 0,
  };
  readonly memory = new MemoryMeter();
  readonly kernels = createCpuKernels(() => this.#countSubmit());
  /** There is no device to lose. */
  readonly lost = new Promise<string>(() => {});
  readonly #ort: Ort;

  constructor(ort: Ort) {
    this.#ort = ort;
  }

  createSession(
    graph: Graph,
    weights: WeightTensors,
    options: { readonly capture?: boolean } = {},
  ): Promise<Session> {
    return createCpuSession({
      ort: this.#ort,
      graph,
      weights,
      isCaptured: options.capture === true,
      account: this.memory,
      onRun: () => this.#countSubmit(),
    });
  }

  createTensor(dtype: DType, shape: Shape, data?: ArrayBufferView): Tensor {
    if (data) checkWhole(dtype, shape, data);
    const tensor = new CpuTensor(dtype, shape, this.memory);
    if (data) this.write(tensor, data);
    return tensor;
  }

  async createStableTensor(dtype: DType, shape: Shape): Promise<Tensor> {
    return new CpuTensor(dtype, shape, this.memory, true);
  }

  write(tensor: Tensor, data: ArrayBufferView, offsetBytes = 0): void {
    checkWrite(tensor, data, offsetBytes);
    this.counters.uploads += 1;
    cpu(tensor).bytes.set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      offsetBytes,
    );
  }

  copy(
    source: Tensor,
    target: Tensor,
    range: { sourceOffset?: number; targetOffset?: number; bytes?: number } = {},
  ): void {
    const { sourceOffset, targetOffset, bytes } = checkCopy(source, target, range);
    this.counters.submits += 1;
    cpu(target).bytes.set(
      cpu(source).bytes.subarray(sourceOffset, sourceOffset + bytes),
      targetOffset,
    );
  }

  async read(tensor: Tensor): Promise<TensorData> {
    this.counters.readbacks += 1;
    const copy = readableCopy(tensor.dtype, cpu(tensor).values);
    await nextTask();
    return copy;
  }

  async fence(): Promise<void> {
    this.counters.fences += 1;
    await nextTask();
  }

  async dispose(): Promise<void> {
    // Tensors and sessions are their owners'; onnxruntime itself ends with the worker.
  }

  #countSubmit(): void {
    this.counters.submits += 1;
  }
}

function cpu(tensor: Tensor): CpuTensor {
  if (tensor instanceof CpuTensor) return tensor;
  throw new TypeError("This tensor belongs to another runtime.");
}

// A task, not a microtask: a worker that only computes would never hear an abort.
function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
