// A GPU that is out of memory cannot be had on purpose, so the device is a stand-in that refuses.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ModelError } from "../../../src/base/errors.ts";
import { MemoryMeter } from "../../../src/base/memory-meter.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { GpuMemory } from "../../../src/gpu/tensor.ts";

class StandInError {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

beforeEach(() => {
  vi.stubGlobal("GPUBufferUsage", { STORAGE: 128, UNIFORM: 64, COPY_SRC: 4, COPY_DST: 8 });
  vi.stubGlobal("GPUOutOfMemoryError", StandInError);
});

afterEach(() => vi.unstubAllGlobals());

type Create = (descriptor: GPUBufferDescriptor) => object;

function memoryOf(scopeResult: StandInError | null, limit = 1000, create?: Create) {
  const destroy = vi.fn();
  const target = new EventTarget();
  const device = Object.assign(target, {
    pushErrorScope: () => undefined,
    popErrorScope: () => Promise.resolve(scopeResult),
    createBuffer: create ?? (({ size, usage }) => ({ size, usage, destroy })),
    createBindGroup: () => ({}),
    limits: { maxBufferSize: 4000, maxStorageBufferBindingSize: 2000 },
  });
  const facts = { maxTensorBytes: limit, description: "test GPU" };
  const meter = new MemoryMeter();
  const memory = new GpuMemory({ device, facts } as unknown as Gpu, meter);
  return { memory, meter, destroy, target, device: device as unknown as GPUDevice };
}

function failureOf(memory: GpuMemory): ModelError {
  try {
    memory.throwFailure();
  } catch (error) {
    if (ModelError.isModelError(error)) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

const isOutOfMemory = (details: object) =>
  expect.objectContaining({ code: "out-of-memory", details: expect.objectContaining(details) });

describe("GpuMemory", () => {
  test("pads buffers to 16 bytes and counts the tensor's own", () => {
    const { memory, meter, destroy } = memoryOf(null);
    const tensor = memory.allocate("u8", [3, 7]);
    expect(tensor.buffer.size).toBe(32);
    expect(meter.tensorBytes).toBe(21);
    tensor.dispose();
    expect(destroy).toHaveBeenCalledOnce();
    expect(meter).toMatchObject({ tensorBytes: 0, peakTensorBytes: 21 });
  });

  test("refuses at once what is larger than the device allows", () => {
    const { memory } = memoryOf(null);
    expect(() => memory.allocate("f32", [251])).toThrow(
      isOutOfMemory({ neededBytes: 1004, availableBytes: 1000, exhausted: true }),
    );
  });

  test("reports what the GPU could not give at the next settle, once", async () => {
    const { memory, meter } = memoryOf(new StandInError("heap is full"));
    meter.add(5000);
    memory.allocate("f32", [100]);
    memory.allocate("f32", [200]);
    const refusal = { neededBytes: 5400, availableBytes: 5000, exhausted: true };
    await expect(memory.settle()).rejects.toEqual(isOutOfMemory(refusal));
    await memory.settle();
  });

  test("reports work that the GPU refused later: memory before the errors that follow from it", () => {
    const { memory, target } = memoryOf(null);
    const refuse = (error: object) =>
      target.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));
    refuse({ message: "invalid buffer" });
    expect(() => memory.throwFailure()).toThrow("WebGPU refused work: invalid buffer");
    refuse(new StandInError("heap is full"));
    refuse({ message: "invalid buffer" });
    expect(() => memory.throwFailure()).toThrow(isOutOfMemory({}));
    memory.throwFailure();
  });

  test("invents no number where the GPU refuses what nobody saw being asked for", () => {
    const { memory, meter, target } = memoryOf(null);
    meter.add(5000);
    const error = new StandInError("heap is full");
    target.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));
    expect(failureOf(memory).details).toEqual({ availableBytes: 5000, exhausted: true });
  });
});

// onnxruntime makes its buffers on the same device object.
describe("buffers of others", () => {
  test("that the GPU cannot give are told with what was needed", async () => {
    const { memory, meter, device } = memoryOf(new StandInError("heap is full"));
    meter.add(5000);
    device.createBuffer({ size: 300, usage: GPUBufferUsage.STORAGE });
    const refusal = { neededBytes: 5300, availableBytes: 5000, exhausted: true };
    await expect(memory.settle()).rejects.toEqual(isOutOfMemory(refusal));
  });

  test("that are larger than a buffer may be name the limit, not the work that fails later", () => {
    const { memory, device, target } = memoryOf(null);
    device.createBuffer({ size: 4001, usage: GPUBufferUsage.STORAGE });
    const error = { message: "invalid buffer" };
    target.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));
    const failure = failureOf(memory);
    const limit = { limit: "maxBufferSize", neededBytes: 4001, availableBytes: 4000 };
    expect(failure.details).toEqual({ ...limit, exhausted: true });
    expect(failure.message).toMatch(/smaller picture/);
  });

  test.each([
    ["whole", { offset: 0 }, 2004],
    ["from an offset on", { offset: 1000 }, 3004],
    ["in part", { size: 2001 }, 3004],
  ])("that are bound %s beyond the limit name it", (_, range, size) => {
    const { memory, device } = memoryOf(null);
    const buffer = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
    const layout = {} as GPUBindGroupLayout;
    device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer, ...range } }] });
    expect(failureOf(memory).details).toMatchObject({
      limit: "maxStorageBufferBindingSize",
      neededBytes: "size" in range ? range.size : 2004,
      availableBytes: 2000,
    });
  });

  test("that are as large as is allowed are left alone", () => {
    const { memory, device } = memoryOf(null);
    const buffer = device.createBuffer({ size: 4000, usage: GPUBufferUsage.STORAGE });
    const layout = {} as GPUBindGroupLayout;
    const resource = { buffer, offset: 2000 };
    device.createBindGroup({ layout, entries: [{ binding: 0, resource }] });
    memory.throwFailure();
  });

  test("that cannot be mapped at once fail as they did, and are told", async () => {
    const { memory, device } = memoryOf(null, 1000, () => {
      throw new RangeError("too large to map");
    });
    expect(() => device.createBuffer({ size: 3000, usage: 8 })).toThrow(RangeError);
    expect(failureOf(memory).details).toMatchObject({ neededBytes: 3000, availableBytes: 0 });
  });
});
