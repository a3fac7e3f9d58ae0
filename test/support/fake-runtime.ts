// A runtime without graphs: typed arrays, kernels in ten lines each, and a queue whose work is finished
// only when the test says so. Loops are tested against it.
import type { Shape } from "../../src/base/shape.ts";
import { elementCount } from "../../src/base/shape.ts";
import type { DType } from "../../src/base/dtype.ts";
import { BROKEN_TOKEN } from "../../src/session/runtime.ts";
import type { Counters, Kernels, Runtime, Tensor, TensorData } from "../../src/session/runtime.ts";

/** A tensor whose numbers a test can see. */
export interface FakeTensor extends Tensor {
  readonly data: TensorData;
  isDisposed: boolean;
}

/** What a test may look at and turn. */
export interface FakeRuntime extends Runtime {
  readonly tensors: FakeTensor[];
  readonly counters: { -readonly [Key in keyof Counters]: number };
  /** Steps and picks submitted so far. */
  dispatches: number;
  /** Fences settle by themselves (default), or when `settleFence` is called, oldest first. */
  holdFences: boolean;
  settleFence(): void;
}

/** Creates a fake runtime that calls itself `backend`. */
export function createFakeRuntime(backend: "webgpu" | "wasm" = "webgpu"): FakeRuntime {
  const held: (() => void)[] = [];
  const counters = { readbacks: 0, uploads: 0, submits: 0, drains: 0, fences: 0 };
  const unsupported = (): never => {
    throw new Error("the fake runtime has no graphs");
  };
  const runtime: FakeRuntime = {
    backend,
    float: "f32",
    device: "fake",
    isSoftware: false,
    counters,
    memory: { tensorBytes: 0, peakTensorBytes: 0 },
    maxTensorBytes: 2 ** 31,
    tensors: [],
    dispatches: 0,
    holdFences: false,
    settleFence: () => held.shift()?.(),
    createSession: unsupported,
    createStableTensor: async (dtype, shape) => createTensor(dtype, shape),
    createTensor,
    write(tensor, data, offsetBytes = 0) {
      counters.uploads += 1;
      bytesOf(dataOf(tensor)).set(bytesOf(data), offsetBytes);
    },
    // Every dtype of the loops has four bytes.
    copy(source, target, { sourceOffset = 0, targetOffset = 0, bytes } = {}) {
      const first = sourceOffset / 4;
      const end = bytes === undefined ? undefined : first + bytes / 4;
      dataOf(target).set(dataOf(source).subarray(first, end), targetOffset / 4);
    },
    async read(tensor) {
      counters.readbacks += 1;
      return dataOf(tensor).slice();
    },
    fence() {
      counters.fences += 1;
      if (!runtime.holdFences) return Promise.resolve();
      return new Promise((resolve) => held.push(resolve));
    },
    kernels: createKernels(() => (runtime.dispatches += 1)),
    lost: new Promise(() => undefined),
    dispose: async () => undefined,
  };

  function createTensor(dtype: DType, shape: Shape, data?: ArrayBufferView): FakeTensor {
    const length = elementCount(shape);
    const numbers = dtype === "f32" ? new Float32Array(length) : new Int32Array(length);
    if (data !== undefined) bytesOf(numbers).set(bytesOf(data));
    const tensor: FakeTensor = {
      dtype,
      shape,
      byteLength: length * 4,
      data: numbers,
      isDisposed: false,
      dispose: () => (tensor.isDisposed = true),
    };
    runtime.tensors.push(tensor);
    return tensor;
  }
  return runtime;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The numbers of a fake tensor. */
export function dataOf(tensor: Tensor): Float32Array | Int32Array {
  return (tensor as FakeTensor).data as Float32Array;
}

function createKernels(onDispatch: () => void): Kernels {
  return {
    solverStep: ({ latents, start, velocity, weights, moves, times, progress, time }) => {
      return () => {
        onDispatch();
        const [x, from, v] = [dataOf(latents), dataOf(start), dataOf(velocity)];
        const [i = 0, mark = 0] = dataOf(progress);
        const [delta = 0, endsStep = 0] = dataOf(moves).subarray(2 * i, 2 * i + 2);
        for (let k = 0; k < x.length; k++) {
          const mixed = weights.reduce((sum, w, row) => sum + w * (v[row * x.length + k] ?? 0), 0);
          x[k] = (from[k] ?? 0) + delta * mixed;
        }
        if (endsStep !== 0) from.set(x);
        const isBroken = x.some((value) => !Number.isFinite(value));
        const evaluations = dataOf(moves).length / 2;
        dataOf(progress).set([i + 1, isBroken ? Math.max(mark, evaluations - i) : mark]);
        const width = dataOf(time).length;
        dataOf(time).set(dataOf(times).subarray((i + 1) * width, (i + 2) * width));
      };
    },
    mixRows: ({ rows, weights, mixed }) => {
      return () => {
        const [all, sum] = [dataOf(rows), dataOf(mixed)];
        for (let k = 0; k < sum.length; k++) {
          sum[k] = weights.reduce(
            (total, w, row) => total + w * (all[row * sum.length + k] ?? 0),
            0,
          );
        }
      };
    },
    pickToken: ({ logits, token, ids, count, advance }) => {
      return () => {
        onDispatch();
        const scores = [...dataOf(logits)];
        const best = scores.indexOf(Math.max(...scores));
        const isBroken = scores.some(Number.isNaN) || new Set(scores).size === 1;
        const id = isBroken ? BROKEN_TOKEN : best;
        const at = dataOf(count)[0] ?? 0;
        dataOf(token)[0] = id;
        dataOf(ids)[at] = id;
        for (const tensor of [count, ...advance]) dataOf(tensor)[0] = (dataOf(tensor)[0] ?? 0) + 1;
      };
    },
    findBroken: ({ values, report }) => {
      return () => {
        const { length } = dataOf(values);
        const broken = dataOf(values).findIndex((value) => !Number.isFinite(value));
        dataOf(report).set([length, broken < 0 ? 0 : length - broken]);
      };
    },
    packPixels: () => () => undefined,
  };
}
