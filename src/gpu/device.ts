// The one GPUDevice of a worker, and what is known of it beforehand. Asks for everything the adapter has, so that graphs
// and buffers are limited by the hardware and not by WebGPU's defaults. Knows nothing about tensors.
import type { FloatType } from "../base/dtype.ts";
import { fail } from "../base/errors.ts";
import type { ModelError } from "../base/errors.ts";
import { answered, describeAdapter, gpuUnavailable } from "../base/gpu-adapter.ts";
import { isSoftwareAdapter, requestAdapter } from "../base/gpu-adapter.ts";

/** What is known about a GPU without using it. Plain data. */
export interface GpuFacts {
  /** Vendor, architecture and description, for people. */
  readonly description: string;
  /** True for an emulator on the CPU (SwiftShader, lavapipe, WARP): correct, but slow. */
  readonly isSoftware: boolean;
  readonly hasShaderF16: boolean;
  readonly hasSubgroups: boolean;
  /** Largest bytes of one buffer that a shader can see whole. */
  readonly maxTensorBytes: number;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** A device that works until `lost` settles. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly facts: GpuFacts;
  /** Type that graphs should compute in on this device. */
  readonly float: FloatType;
  /** Settles with the reason when the device is gone; never rejects. */
  readonly lost: Promise<string>;
  /** Why the device is gone; undefined while it is there. A lost device pretends to work: ask this after every wait. */
  lostReason(): string | undefined;
  /** Frees everything the device owns. */
  destroy(): void;
}

const WANTED_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

/**
 * The adapter's facts, without keeping a device.
 *
 * @throws ModelError webgpu-unavailable
 */
export async function checkGpu(): Promise<GpuFacts> {
  return factsOf(await requestAdapter());
}

/**
 * Requests a device with all limits of the adapter and the features we use.
 *
 * @param options.float - default: f16 where the adapter computes in it, else f32
 * @throws ModelError webgpu-unavailable when there is no WebGPU, no adapter, no device, or no f16 that was asked for
 */
export async function requestGpu(options: { readonly float?: FloatType } = {}): Promise<Gpu> {
  const adapter = await requestAdapter();
  const facts = factsOf(adapter);
  const float = options.float ?? (facts.hasShaderF16 ? "f16" : "f32");
  if (float === "f16" && !facts.hasShaderF16) {
    throw gpuUnavailable(
      "no-f16",
      `${facts.description} cannot compute in f16 (no shader-f16). Use float "f32".`,
    );
  }
  return watch(await requestDevice(adapter, facts), facts, float);
}

async function requestDevice(adapter: GPUAdapter, facts: GpuFacts): Promise<GPUDevice> {
  const asked = adapter.requestDevice({
    label: "web-umm",
    requiredFeatures: wantedFeatures(adapter),
    requiredLimits: facts.limits,
  });
  try {
    return await answered(
      () => asked,
      (error) =>
        gpuUnavailable(
          "no-device",
          `${facts.description} gave no device: ${String(error)}. Close other pages that use the GPU and load again.`,
          error,
        ),
    );
  } catch (error) {
    // Nobody waits for one that comes late.
    asked.then(
      (device) => device.destroy(),
      () => undefined,
    );
    throw error;
  }
}

/** The error of everything that is asked of a device after it is gone. */
export function deviceLost(reason: string, cause?: unknown): ModelError {
  return fail(
    "device-lost",
    `The GPU stopped working for this page (${reason}).`,
    { reason },
    cause,
  );
}

function watch(device: GPUDevice, facts: GpuFacts, float: FloatType): Gpu {
  let reason: string | undefined;
  const lost = device.lost.then((info) => {
    reason ??= info.message === "" ? info.reason : `${info.reason}: ${info.message}`;
    return reason;
  });
  return {
    device,
    facts,
    float,
    lost,
    lostReason: () => reason,
    destroy: () => {
      reason ??= "destroyed";
      device.destroy();
    },
  };
}

// onnxruntime's attention over 32 and more slots takes 8 keys at a time from subgroups however small they
// are: with 4 lanes (SwiftShader) its results are wrong by 1-60 % and nothing says so. Without subgroups it
// uses workgroup memory, which is right. onnxruntime-web 1.30, flash_attention.wgsl.template; see
// test/browser/graph/blocks.test.ts.
const MIN_SUBGROUP_SIZE = 8;

function wantedFeatures({ features, info }: GPUAdapter): GPUFeatureName[] {
  const usable = info.subgroupMinSize >= MIN_SUBGROUP_SIZE;
  return WANTED_FEATURES.filter(
    (feature) => features.has(feature) && (feature !== "subgroups" || usable),
  );
}

function factsOf(adapter: GPUAdapter): GpuFacts {
  const { features } = adapter;
  const description = describeAdapter(adapter);
  const limits = limitsOf(adapter.limits);
  const { maxBufferSize = 0, maxStorageBufferBindingSize = 0 } = limits;
  return {
    description,
    isSoftware: isSoftwareAdapter(adapter),
    hasShaderF16: features.has("shader-f16"),
    hasSubgroups: features.has("subgroups"),
    maxTensorBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    limits,
    features: [...features],
  };
}

// The attributes are on the prototype, so neither Object.keys nor a spread sees them.
function limitsOf(limits: GPUSupportedLimits): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name in limits) {
    const value: unknown = Reflect.get(limits, name);
    if (typeof value === "number") found[name] = value;
  }
  return found;
}
