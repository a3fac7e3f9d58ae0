// The runtime on WebGPU. We own the device, every weight and every buffer of the loops; onnxruntime runs
// the graphs on the same device and queue, so that its work and our kernels are in order without waits.
import type { DType, FloatType } from "../base/dtype.ts";
import { MemoryMeter } from "../base/memory-meter.ts";
import type { Shape } from "../base/shape.ts";
import { requestGpu } from "../gpu/device.ts";
import type { Gpu } from "../gpu/device.ts";
import { createGpuKernels } from "./gpu-kernels.ts";
import { LossGuard } from "../gpu/loss-guard.ts";
import { readBack } from "../gpu/read-back.ts";
import { GpuMemory, wholeWords } from "../gpu/tensor.ts";
import { Traffic } from "../gpu/traffic.ts";
import type { Graph } from "../graph/graph.ts";
import { readableCopy, viewOf } from "./cpu-tensor.ts";
import { ortFailure } from "./failures.ts";
import { createGpuSession } from "./gpu-session.ts";
import type { GpuSessionContext } from "./gpu-session.ts";
import { loadOrt, preferredWebGpuBuild } from "./ort.ts";
import type { Ort, OrtBuild } from "./ort.ts";
import { OrtTensors, onGpu } from "./ort-tensors.ts";
import { checkCopy, checkWhole, checkWrite } from "./ranges.ts";
import type {
  Counters,
  Kernels,
  Runtime,
  Session,
  Tensor,
  TensorData,
  WeightTensors,
} from "./runtime.ts";
import { StableTensors } from "./stable-tensors.ts";

/** How to start a WebGPU runtime. */
export interface WebGpuRuntimeOptions {
  /** Default: f16 where the device computes in it, else f32. */
  readonly float?: FloatType;
  /** Build of onnxruntime; default: jspi where the browser has it, else asyncify. */
  readonly build?: Exclude<OrtBuild, "cpu">;
}

/**
 * Requests a device and loads onnxruntime in this worker. One at a time: a lost or disposed runtime needs
 * a new worker, because onnxruntime never comes back inside its own.
 *
 * @throws ModelError webgpu-unavailable; download-failed when a file of onnxruntime cannot be loaded
 */
export async function createWebGpuRuntime(options: WebGpuRuntimeOptions = {}): Promise<Runtime> {
  const { float, build = preferredWebGpuBuild() } = options;
  const gpu = await requestGpu(float === undefined ? {} : { float });
  try {
    const runtime = new WebGpuRuntime(gpu, await loadOrt(build));
    // Loads the wasm now, so that a file that is missing is known before a model is on the device.
    (await runtime.createStableTensor("f32", [1])).dispose();
    return runtime;
  } catch (error) {
    gpu.destroy();
    throw ortFailure("start", "onnxruntime", error);
  }
}

class WebGpuRuntime implements Runtime {
  readonly backend = "webgpu";
  readonly float: FloatType;
  readonly device: string;
  readonly isSoftware: boolean;
  readonly maxTensorBytes: number;
  readonly counters: Counters;
  readonly memory = new MemoryMeter();
  readonly kernels: Kernels;
  readonly lost: Promise<string>;
  readonly #gpu: Gpu;
  readonly #traffic: Traffic;
  readonly #context: GpuSessionContext;
  readonly #stable: StableTensors;

  constructor(gpu: Gpu, ort: Ort) {
    const { device, facts } = gpu;
    this.#gpu = gpu;
    this.float = gpu.float;
    this.device = facts.isSoftware ? `${facts.description} (software)` : facts.description;
    this.isSoftware = facts.isSoftware;
    this.maxTensorBytes = facts.maxTensorBytes;
    this.lost = gpu.lost;
    this.#traffic = new Traffic(device);
    this.counters = this.#traffic.counters;
    this.kernels = createGpuKernels(device);
    const guard = new LossGuard(gpu);
    const memory = new GpuMemory(gpu, this.memory);
    const tensors = new OrtTensors(ort, this.memory, guard);
    this.#context = { ort, device, guard, memory, tensors };
    this.#stable = new StableTensors(this.#context);
  }

  createSession(
    graph: Graph,
    weights: WeightTensors,
    options: { readonly capture?: boolean } = {},
  ): Promise<Session> {
    return createGpuSession(this.#context, graph, weights, options.capture === true);
  }

  createTensor(dtype: DType, shape: Shape, data?: ArrayBufferView): Tensor {
    if (data) checkWhole(dtype, shape, data);
    const tensor = this.#context.memory.allocate(dtype, shape);
    if (data) this.write(tensor, data);
    return tensor;
  }

  createStableTensor(dtype: DType, shape: Shape): Promise<Tensor> {
    return this.#stable.create(dtype, shape);
  }

  write(tensor: Tensor, data: ArrayBufferView, offsetBytes = 0): void {
    checkWrite(tensor, data, offsetBytes);
    const { queue } = this.#gpu.device;
    queue.writeBuffer(onGpu(tensor).buffer, offsetBytes, inWords(data));
  }

  copy(
    source: Tensor,
    target: Tensor,
    range: { sourceOffset?: number; targetOffset?: number; bytes?: number } = {},
  ): void {
    const { sourceOffset, targetOffset, bytes } = checkCopy(source, target, range);
    const { device } = this.#gpu;
    const [from, to] = [onGpu(source).buffer, onGpu(target).buffer];
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, sourceOffset, to, targetOffset, wholeWords(bytes));
    device.queue.submit([encoder.finish()]);
  }

  async read(tensor: Tensor): Promise<TensorData> {
    const { device, guard, memory } = this.#context;
    const bytes = await readBack(device, guard, memory, onGpu(tensor));
    return readableCopy(tensor.dtype, viewOf(tensor.dtype, bytes));
  }

  fence(): Promise<void> {
    const mark = this.#context.guard.wait(this.#traffic.fence());
    // A loop that ends early leaves marks unawaited; a loss is then reported by what it awaits instead.
    mark.catch(() => undefined);
    return mark;
  }

  async dispose(): Promise<void> {
    this.#gpu.destroy();
    await this.lost;
  }
}

// writeBuffer takes whole words; the padding of a short last word falls into the tensor's own padding.
function inWords(data: ArrayBufferView): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  if (bytes.byteLength % 4 === 0) return bytes;
  const padded = new Uint8Array(wholeWords(bytes.byteLength));
  padded.set(bytes);
  return padded;
}
