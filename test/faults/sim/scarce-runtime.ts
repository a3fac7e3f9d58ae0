// A GPU that has no memory at one allocation: the wasm runtime computes, and every tensor of it has a shadow on a
// stand-in device, over which the memory of gpu/tensor.ts stands as it does over a real one. A refusal is told as a
// GPU tells it: not by the allocation, but at the next session, run or read.
import { MemoryMeter } from "../../../src/base/memory-meter.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { GpuMemory } from "../../../src/gpu/tensor.ts";
import { valueBytes } from "../../../src/graph/result-sizes.ts";
import type { Runtime, Session, Tensor } from "../../../src/session/runtime.ts";

/** Which allocation fails, and how: there is no memory, or it is larger than the device allows. */
export interface Shortage {
  /** Counted from the last `arm`. */
  readonly allocation: number;
  readonly kind: "exhausted" | "limit";
}

/** A runtime whose allocations can be told to fail. */
export interface ScarceRuntime extends Runtime {
  /** Allocations since the last `arm`. */
  readonly allocations: number;
  /** The next allocations are counted from 0, and one of them fails. */
  arm(shortage?: Shortage): void;
}

/** Wraps a runtime; its tensors stay the runtime's own. */
export function scarceRuntime(runtime: Runtime): ScarceRuntime {
  const meter = new MemoryMeter();
  const device = new ScarceDevice();
  const gpu = { device, facts: device.facts } as unknown as Gpu;
  const memory = new GpuMemory(gpu, meter);
  const shadowed = (tensor: Tensor, shadow: Pick<Tensor, "dispose">): Tensor => {
    const dispose = tensor.dispose.bind(tensor);
    tensor.dispose = () => {
      dispose();
      shadow.dispose();
    };
    return tensor;
  };
  const createSession: Runtime["createSession"] = async (graph, weights, options) => {
    await memory.settle();
    const session = await runtime.createSession(graph, weights, options);
    const run: Session["run"] = async (feeds, fetches = {}) => {
      await memory.settle();
      // What is not fetched into a tensor onnxruntime allocates by itself, on the same device.
      for (const output of graph.outputs) {
        if (fetches[output.name] !== undefined) continue;
        const size = device.asked(valueBytes(output));
        device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
      }
      return session.run(feeds, fetches);
    };
    const { name, isCaptured } = session;
    return { name, isCaptured, run, dispose: () => session.dispose() };
  };
  return {
    backend: runtime.backend,
    float: runtime.float,
    device: runtime.device,
    isSoftware: runtime.isSoftware,
    counters: runtime.counters,
    memory: runtime.memory,
    maxTensorBytes: runtime.maxTensorBytes,
    kernels: runtime.kernels,
    lost: runtime.lost,
    get allocations() {
      return device.allocations;
    },
    arm: (shortage) => device.arm(shortage),
    createSession,
    createTensor(dtype, shape, data) {
      const shadow = memory.allocate(dtype, shape);
      return shadowed(runtime.createTensor(dtype, shape, data), shadow);
    },
    async createStableTensor(dtype, shape) {
      const shadow = memory.allocate(dtype, shape);
      return shadowed(await runtime.createStableTensor(dtype, shape), shadow);
    },
    write: (...write) => runtime.write(...write),
    copy: (...copy) => runtime.copy(...copy),
    async read(tensor) {
      await memory.settle();
      return runtime.read(tensor);
    },
    fence: () => runtime.fence(),
    dispose: () => runtime.dispose(),
  };
}

/** No golden model comes near it. */
const MOST_BYTES = 2 ** 40;

// The few things that GpuMemory asks of a device.
class ScarceDevice extends EventTarget {
  readonly limits = { maxBufferSize: MOST_BYTES, maxStorageBufferBindingSize: MOST_BYTES };
  allocations = 0;
  #shortage: Shortage | undefined;
  #isRefused = false;
  readonly facts: { readonly description: string; readonly maxTensorBytes: number };

  constructor() {
    super();
    // Asked before each allocation of a tensor.
    const most = (): number => (this.#fails("limit") ? 0 : Infinity);
    this.facts = {
      description: "a scarce GPU",
      get maxTensorBytes() {
        return most();
      },
    };
  }

  /** Bytes that onnxruntime asks for where a result has so many. */
  asked(bytes: number): number {
    return this.#fails("limit") ? MOST_BYTES + bytes : bytes;
  }

  arm(shortage: Shortage | undefined): void {
    this.allocations = 0;
    this.#shortage = shortage;
  }

  pushErrorScope(): void {
    this.#isRefused = false;
  }

  async popErrorScope(): Promise<{ readonly message: string } | null> {
    return this.#isRefused ? { message: "the heap is full" } : null;
  }

  createBuffer({ size, usage }: GPUBufferDescriptor): unknown {
    this.#isRefused = this.#fails("exhausted");
    this.allocations += 1;
    return { size, usage, destroy: () => undefined };
  }

  createBindGroup(): unknown {
    return {};
  }

  #fails(kind: Shortage["kind"]): boolean {
    return this.#shortage?.kind === kind && this.#shortage.allocation === this.allocations;
  }
}
