// Tensors whose buffers onnxruntime owns, which is what the outputs of a captured session need. They are
// outputs of a one-node graph: a zero, expanded to the wanted shape.
import type { InferenceSession } from "onnxruntime-web";
import { present } from "../base/assert.ts";
import type { DType } from "../base/dtype.ts";
import type { Shape } from "../base/shape.ts";
import type { GpuTensor } from "../gpu/tensor.ts";
import { encodeModel } from "../graph/encode.ts";
import { callOrt } from "./gpu-session.ts";
import type { GpuSessionContext } from "./gpu-session.ts";

/** Makes stable tensors; keeps one session for each dtype and rank. */
export class StableTensors {
  readonly #context: GpuSessionContext;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();

  constructor(context: GpuSessionContext) {
    this.#context = context;
  }

  /**
   * A zeroed tensor whose buffer onnxruntime owns. Disposing it returns the buffer to onnxruntime's pool,
   * which gives it to the next tensor of that size.
   *
   * @throws ModelError out-of-memory | device-lost
   */
  async create(dtype: DType, shape: Shape): Promise<GpuTensor> {
    const { ort, memory, tensors } = this.#context;
    memory.checkLimit(dtype, shape);
    const session = await this.#session(dtype, shape.length);
    const seed = memory.allocate(dtype, [1]);
    try {
      const dims = new ort.Tensor("int64", BigInt64Array.from(shape, BigInt), [shape.length]);
      const feeds = { seed: tensors.wrap(seed), shape: dims };
      const results = await callOrt(this.#context, "allocate", label(dtype, shape), () =>
        session.run(feeds),
      );
      return tensors.adopt(present(results["output"], "expanded tensor"));
    } finally {
      seed.dispose();
    }
  }

  #session(dtype: DType, rank: number): Promise<InferenceSession> {
    const key = `${dtype} of rank ${rank}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const { ort, device } = this.#context;
    const creating = callOrt(this.#context, "compile", `the allocator of ${key}`, () =>
      ort.InferenceSession.create(expandModel(dtype, rank), {
        executionProviders: [{ name: "webgpu", device }],
        preferredOutputLocation: "gpu-buffer",
        logSeverityLevel: 4,
      }),
    );
    this.#sessions.set(key, creating);
    return creating;
  }
}

/** `output = Expand(seed, shape)`: ONNX bytes. */
export function expandModel(dtype: DType, rank: number): Uint8Array {
  const sizes = Array.from({ length: rank }, (_, axis) => `size${axis}`);
  return encodeModel({
    name: "expand",
    nodes: [
      {
        type: "Expand",
        domain: "",
        inputs: ["seed", "shape"],
        outputs: ["output"],
        attributes: {},
      },
    ],
    initializers: [],
    inputs: [
      { name: "seed", dtype, shape: [1] },
      { name: "shape", dtype: "i64", shape: [rank] },
    ],
    outputs: [{ name: "output", dtype, shape: sizes }],
  });
}

function label(dtype: DType, shape: Shape): string {
  return `a tensor ${dtype} [${shape.join(", ")}]`;
}
