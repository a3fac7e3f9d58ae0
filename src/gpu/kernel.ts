// From WGSL to something that can be called: pipelines, bind groups and uniforms are made once, when a
// kernel is bound; a call records and submits, and uploads nothing.
import type { GpuTensor } from "./tensor.ts";
import { wholeWords } from "./tensor.ts";

/** One entry point of a .wgsl file. */
export interface Kernel {
  readonly name: string;
  readonly code: string;
  readonly entryPoint: string;
}

/** What a kernel is bound to. Binding 0 is the uniform block where there is one. */
export interface KernelBinding {
  /** Words of the uniform block, in the order of its WGSL struct. */
  readonly uniforms?: readonly Uniform[];
  /** Storage tensors by binding number. */
  readonly tensors: Readonly<Record<number, GpuTensor>>;
  /** Workgroups in x. */
  readonly workgroups: number;
}

/** A 32-bit word of a uniform block. */
export type Uniform = { readonly u32: number } | { readonly f32: number };

/** A kernel with its tensors: ready to be recorded. */
export interface BoundKernel {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: number;
}

/** WebGPU's own limit of workgroups in one dimension; kernels loop over what is left. */
const MAX_WORKGROUPS = 65535;

/** Workgroups of `threads` for `count` elements, within the limit of one dimension. */
export function workgroupsFor(count: number, threads: number): number {
  return Math.min(MAX_WORKGROUPS, Math.max(1, Math.ceil(count / threads)));
}

/** Binds kernels on one device and keeps their pipelines. */
export class KernelBinder {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, GPUComputePipeline>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Makes the bind group and uploads the uniforms. */
  bind(kernel: Kernel, { uniforms, tensors, workgroups }: KernelBinding): BoundKernel {
    const pipeline = this.#pipeline(kernel);
    const entries: GPUBindGroupEntry[] = Object.entries(tensors).map(([binding, tensor]) => ({
      binding: Number(binding),
      // onnxruntime's own buffers may be longer than their tensor.
      resource: { buffer: tensor.buffer, size: wholeWords(tensor.byteLength) },
    }));
    if (uniforms) entries.push({ binding: 0, resource: { buffer: this.#uniformBuffer(uniforms) } });
    const layout = pipeline.getBindGroupLayout(0);
    return { pipeline, bindGroup: this.#device.createBindGroup({ layout, entries }), workgroups };
  }

  /** One submit of all kernels, in order; each sees what the ones before it wrote. */
  dispatch(kernels: readonly BoundKernel[]): () => void {
    return () => {
      const encoder = this.#device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { pipeline, bindGroup, workgroups } of kernels) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(workgroups);
      }
      pass.end();
      this.#device.queue.submit([encoder.finish()]);
    };
  }

  #pipeline({ name, code, entryPoint }: Kernel): GPUComputePipeline {
    const key = `${name}/${entryPoint}`;
    const known = this.#pipelines.get(key);
    if (known) return known;
    const module = this.#device.createShaderModule({ label: name, code });
    const pipeline = this.#device.createComputePipeline({
      label: key,
      layout: "auto",
      compute: { module, entryPoint },
    });
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  #uniformBuffer(uniforms: readonly Uniform[]): GPUBuffer {
    const bytes = new DataView(new ArrayBuffer(Math.ceil(uniforms.length / 4) * 16));
    uniforms.forEach((word, n) => {
      if ("u32" in word) bytes.setUint32(4 * n, word.u32, true);
      else bytes.setFloat32(4 * n, word.f32, true);
    });
    const { UNIFORM, COPY_DST } = GPUBufferUsage;
    const buffer = this.#device.createBuffer({ size: bytes.byteLength, usage: UNIFORM | COPY_DST });
    this.#device.queue.writeBuffer(buffer, 0, bytes.buffer);
    return buffer;
  }
}
