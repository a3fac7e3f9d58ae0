// What a loaded model tells about itself. Plain data for pages, logs and benchmarks.
import type { FloatType, Quantization } from "./dtype.ts";
import type { Capabilities } from "./requests.ts";

/** Memory of one stage of a model, in bytes. */
export interface StageInfo {
  readonly name: string;
  readonly weightBytes: number;
  readonly isResident: boolean;
}

/** Counts of what crossed between JavaScript and the GPU since the model was loaded. */
export interface TrafficInfo {
  readonly readbacks: number;
  readonly uploads: number;
  readonly submits: number;
  readonly drains: number;
  readonly fences: number;
}

/** Where a model's weights are kept. */
export interface StorageInfo {
  readonly kind: "indexeddb" | "memory";
  /** Whether the browser does not clear this origin by itself, by what it has answered until now. */
  readonly isPersistent: boolean;
  /** Why nothing is kept beyond this page; absent when it is. */
  readonly note?: string;
}

/** `model.info`. */
export interface ModelInfo {
  readonly family: string;
  readonly capabilities: Capabilities;
  readonly backend: "webgpu" | "wasm";
  /** Adapter vendor, architecture and description, or "wasm". */
  readonly device: string;
  /** The GPU is an emulator on the CPU: correct, and slow. */
  readonly isSoftware: boolean;
  /** Type the graphs compute in. */
  readonly dtype: FloatType;
  readonly quantization: Quantization;
  /** Bytes in the store. */
  readonly storedBytes: number;
  readonly storage: StorageInfo;
  /** Bytes of tensors now and at their most. */
  readonly tensorBytes: number;
  readonly peakTensorBytes: number;
  readonly stages: readonly StageInfo[];
  /** Most bytes of weights at a time, asked for or all that the device gave; absent: all stages stay. */
  readonly memoryBudgetBytes?: number;
  /** Loops that replay a captured command list, and loops that fell back with the reason. */
  readonly captured: Readonly<Record<string, boolean>>;
  readonly notes: readonly string[];
  readonly traffic: TrafficInfo;
  readonly loadSeconds: number;
  /** How often the model came back after its GPU or its worker was lost. */
  readonly recoveries: number;
  /** Defaults that a page may show: those of the family's reference. */
  readonly imageDefaults?: {
    readonly width: number;
    readonly height: number;
    readonly steps: number;
    readonly guidance: number;
  };
}
