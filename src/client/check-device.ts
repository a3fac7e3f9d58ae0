// What this browser on this machine can do, asked of the browser alone: no worker, no onnxruntime, no
// download. Works on a page and in a worker.
import { ModelError } from "../base/errors.ts";
import { isSoftwareAdapter, requestAdapter } from "../base/gpu-adapter.ts";
import type { GpuObstacle } from "../base/gpu-adapter.ts";

/** What {@link checkDevice} found. */
export interface DeviceReport {
  /** A WebGPU adapter is there: models can run on the GPU. */
  readonly webgpu: boolean;
  /** Why there is none, for programs; absent with one. */
  readonly obstacle?: GpuObstacle;
  /** The adapter, as far as the browser names it; absent without one. */
  readonly adapter?: {
    readonly vendor: string;
    readonly architecture: string;
    readonly description: string;
    /** The browser computes on the CPU behind WebGPU: correct, and slow. */
    readonly isSoftware: boolean;
  };
  /** Computes in half precision: half the memory of f32. */
  readonly f16: boolean;
  /** Largest GPU buffer, in bytes; 0 without an adapter. */
  readonly maxBufferBytes: number;
  /** Largest part of a buffer that a kernel may use, in bytes; 0 without an adapter. */
  readonly maxBindingBytes: number;
  /** WebAssembly may be compiled: every backend needs it. */
  readonly wasm: boolean;
  /** A sentence for everything that is missing or slow here; empty on a good machine. */
  readonly reasons: readonly string[];
}

/** The smallest WebAssembly module: magic and version. */
const EMPTY_MODULE = new Uint8Array([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);

/** Tells what this device can do. Never rejects, and takes 20 s where the browser does not answer. */
export async function checkDevice(): Promise<DeviceReport> {
  const wasmReason = whyNoWasm();
  const found = await findAdapter();
  const wasm = { wasm: wasmReason === undefined };
  const wasmReasons = wasmReason === undefined ? [] : [wasmReason];
  if (ModelError.isModelError(found)) {
    const reasons = [found.message, ...wasmReasons];
    const obstacle = found.details["reason"] as GpuObstacle;
    const none = { f16: false, maxBufferBytes: 0, maxBindingBytes: 0 };
    return { webgpu: false, obstacle, ...none, ...wasm, reasons };
  }
  const { vendor, architecture, description } = found.info;
  const isSoftware = isSoftwareAdapter(found);
  const f16 = found.features.has("shader-f16");
  return {
    webgpu: true,
    adapter: { vendor, architecture, description, isSoftware },
    f16,
    maxBufferBytes: found.limits.maxBufferSize,
    maxBindingBytes: found.limits.maxStorageBufferBindingSize,
    ...wasm,
    reasons: [
      ...(isSoftware ? ["WebGPU runs on the CPU here (software adapter), which is slow."] : []),
      ...(f16
        ? []
        : ["The GPU has no shader-f16: models compute in f32 and need twice the memory."]),
      ...wasmReasons,
    ],
  };
}

/** The adapter, or the error that says why there is none. */
async function findAdapter(): Promise<GPUAdapter | ModelError> {
  return requestAdapter().catch((error: unknown) => {
    if (ModelError.isModelError(error)) return error;
    throw error;
  });
}

function whyNoWasm(): string | undefined {
  try {
    return void new WebAssembly.Module(EMPTY_MODULE);
  } catch (error) {
    return `WebAssembly cannot be compiled here (a Content-Security-Policy needs 'wasm-unsafe-eval'): ${String(error)}`;
  }
}
