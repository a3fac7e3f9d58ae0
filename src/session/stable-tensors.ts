// Tensors whose buffers onnxruntime owns, which is what the outputs of a captured session need. They are
// outputs of a one-node graph: a zero, expanded to the wanted shape.
import type { InferenceSession } from "onnxruntime-web";
import { present } from "../base/assert.ts";
import type { DType } from "../base/dtype.ts";
import type { Shape } from "../base/shape.ts";
import type { GpuTensor } from "../gpu/tensor.ts";
import { expandModel } from "./expand-graph.ts";
import { callOrt } from "./gpu-session.ts";
import type { GpuSessionContext } from "./gpu-session.ts";

/** Makes stable tensors; keeps one session for each dtype. */
export class StableTensors {
  readonly #context: GpuSessionContext;
  readonly #sessions = new Map<DType, Promise<InferenceSession>>();

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
    const session = await this.#session(dtype);
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

  #session(dtype: DType): Promise<InferenceSession> {
    const known = this.#sessions.get(dtype);
    if (known) return known;
    const { ort, device } = this.#context;
    const creating = callOrt(this.#context, "compile", `allocator ${dtype}`, () =>
      ort.InferenceSession.create(expandModel(dtype), {
        executionProviders: [{ name: "webgpu", device }],
        preferredOutputLocation: "gpu-buffer",
        logSeverityLevel: 4,
      }),
    );
    this.#sessions.set(dtype, creating);
    return creating;
  }
}

function label(dtype: DType, shape: Shape): string {
  return `a tensor ${dtype} [${shape.join(", ")}]`;
}
