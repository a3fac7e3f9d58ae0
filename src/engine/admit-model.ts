// Whether this device can hold a model, and how: told from its configuration and the device's limits before a byte
// of its weights is fetched. Yes; yes, with stages that take turns; or no, and which limit.
import type { FloatType, Quantization } from "../base/dtype.ts";
import { fail, ModelError } from "../base/errors.ts";
import { checkGpu, requestGpu } from "../gpu/device.ts";
import { probeMemory } from "../gpu/probe-memory.ts";
import { MAX_CPU_TENSOR_BYTES } from "../session/cpu-tensor.ts";
import type { BackendKind } from "../session/runtime.ts";
import type { KnownModel } from "./known-model.ts";
import type { DeviceRequest } from "./loader.ts";
import { obstacle, planQuantized } from "./model-plan.ts";
import type { QuantizedPlan } from "./model-plan.ts";

/** What is known of a device while nothing is on it. */
export interface DeviceMemory {
  /** For people. */
  readonly name: string;
  /** What graphs compute in. */
  readonly float: FloatType;
  /** Largest tensor, and the limit that says so. */
  readonly maxTensorBytes: number;
  readonly tensorLimit: string;
  /** Most bytes that one stage may take, weights and all; absent: what `probe` says. */
  readonly maxStageBytes?: number;
  /** How many of `bytes` the device gives now. */
  probe(bytes: number): Promise<number>;
}

/** How a model goes onto a device. */
export interface Admission {
  /** Most bytes of weights at a time: asked for, or all that the device gave. Absent: all stages stay. */
  readonly memoryBudgetBytes?: number;
}

/** What no plan tells: onnxruntime's pools and roundings, copies for convolutions, compiled kernels, the page. */
const OVERHEAD_BYTES = 256 * 2 ** 20;

/** What every device with WebGPU has: not worth asking for. */
const MODEST_BYTES = 768 * 2 ** 20;

/** Addresses of wasm, less what onnxruntime itself takes. */
const WASM_STAGE_BYTES = 2 ** 32 - OVERHEAD_BYTES;

/**
 * Whether and how the device holds the model.
 *
 * @param findDevice - the device that `asked` means; another in tests
 * @throws ModelError out-of-memory naming the limit, with `details.neededBytes` and `availableBytes`;
 * webgpu-unavailable when that backend was asked for and there is none
 */
export async function admitModel(
  model: KnownModel,
  quantization: Quantization,
  asked: DeviceRequest,
  findDevice: (backend?: BackendKind) => Promise<DeviceMemory> = findDeviceMemory,
): Promise<Admission> {
  const device = await findDevice(asked.backend);
  const plan = planQuantized(model, { quantization, float: device.float });
  const label = `${model.source} in ${quantization}`;
  refuseLargeTensor(plan, device, label);
  const { memoryBudgetBytes } = asked;
  if (memoryBudgetBytes !== undefined) {
    refuseShortBudget(plan, memoryBudgetBytes, label);
    return { memoryBudgetBytes };
  }
  const { maxStageBytes, name } = device;
  if (maxStageBytes !== undefined) {
    refuseLargeTurn(plan, maxStageBytes, name, label);
    return {};
  }
  const wanted = plan.residentBytes + plan.workingBytes + OVERHEAD_BYTES;
  const granted = wanted <= MODEST_BYTES ? wanted : await device.probe(wanted);
  if (granted >= wanted) return {};
  refuseLargeTurn(plan, Math.max(0, granted - OVERHEAD_BYTES), name, label);
  // A stage that stays keeps its caches, which the budget does not count: room for all of them is left, if there is.
  const budget = granted - plan.workingBytes - OVERHEAD_BYTES;
  return { memoryBudgetBytes: Math.max(plan.largestStageBytes, budget) };
}

function refuseLargeTensor(plan: QuantizedPlan, device: DeviceMemory, label: string): void {
  const { name, maxTensorBytes: availableBytes, tensorLimit: limit } = device;
  const found = obstacle(plan, { maxBufferBytes: availableBytes });
  if (found === undefined) return;
  const { kind, neededBytes } = found;
  const numbers = { limit, neededBytes, availableBytes };
  const allowed = `${name} allows ${availableBytes} (${limit})`;
  if (kind === "result") {
    const graph = plan.largestResult.name;
    throw fail(
      "out-of-memory",
      `${label} does not fit: in a picture of its usual size the graph ${graph} makes a result of ${neededBytes} bytes, and ` +
        `${allowed}. Choose a model of smaller pictures or another device.`,
      { ...numbers, graph },
    );
  }
  const weight = plan.largestBuffer.name;
  throw fail(
    "out-of-memory",
    `${label} does not fit: its weight ${weight} has ${neededBytes} bytes, and ${allowed}. ` +
      "Choose a coarser quantization or another device.",
    { ...numbers, weight },
  );
}

function refuseShortBudget(plan: QuantizedPlan, availableBytes: number, label: string): void {
  const limit = "memoryBudgetBytes";
  const { largestStageBytes: neededBytes } = plan;
  if (neededBytes <= availableBytes) return;
  throw fail(
    "out-of-memory",
    `${label} does not fit, not even stage by stage: its largest stage has ${neededBytes} bytes of weights, ` +
      `and ${limit} has room for ${availableBytes}. Choose a coarser quantization or a larger budget.`,
    { limit, neededBytes, availableBytes },
  );
}

function refuseLargeTurn(
  plan: QuantizedPlan,
  availableBytes: number,
  name: string,
  label: string,
): void {
  const { largestTurnBytes: neededBytes } = plan;
  if (neededBytes <= availableBytes) return;
  const limit = `${name}'s memory`;
  throw fail(
    "out-of-memory",
    `${label} does not fit, not even stage by stage: its largest stage takes ${neededBytes} bytes with its caches ` +
      `and intermediate results, and ${limit} has room for ${availableBytes}. Choose a coarser quantization, close ` +
      "what else uses the device, or take a larger one.",
    { limit, neededBytes, availableBytes },
  );
}

/** The device that a runtime of this worker would get. @throws ModelError webgpu-unavailable */
async function findDeviceMemory(backend?: BackendKind): Promise<DeviceMemory> {
  if (backend === "wasm") return WASM;
  try {
    return await findGpuMemory();
  } catch (error) {
    const isAbsent = ModelError.isModelError(error) && error.code === "webgpu-unavailable";
    if (backend === "webgpu" || !isAbsent) throw error;
    return WASM;
  }
}

const WASM: DeviceMemory = {
  name: "the wasm backend",
  float: "f32",
  maxTensorBytes: MAX_CPU_TENSOR_BYTES,
  tensorLimit: "2 GiB of one tensor",
  maxStageBytes: WASM_STAGE_BYTES,
  probe: async (bytes) => bytes,
};

async function findGpuMemory(): Promise<DeviceMemory> {
  const { description, hasShaderF16, maxTensorBytes, limits } = await checkGpu();
  const isBufferShort = limits["maxBufferSize"] === maxTensorBytes;
  return {
    name: description,
    float: hasShaderF16 ? "f16" : "f32",
    maxTensorBytes,
    tensorLimit: isBufferShort ? "maxBufferSize" : "maxStorageBufferBindingSize",
    async probe(bytes) {
      const gpu = await requestGpu();
      try {
        return await probeMemory(gpu.device, bytes);
      } finally {
        gpu.destroy();
      }
    },
  };
}
