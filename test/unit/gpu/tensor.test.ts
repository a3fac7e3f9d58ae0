// A GPU that is out of memory cannot be had on purpose, so the device is a stand-in that refuses.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
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
  vi.stubGlobal("GPUBufferUsage", { STORAGE: 128, COPY_SRC: 4, COPY_DST: 8 });
  vi.stubGlobal("GPUOutOfMemoryError", StandInError);
});

afterEach(() => vi.unstubAllGlobals());

function memoryOf(scopeResult: StandInError | null, limit = 1000) {
  const destroy = vi.fn();
  const target = new EventTarget();
  const device = Object.assign(target, {
    pushErrorScope: () => undefined,
    popErrorScope: () => Promise.resolve(scopeResult),
    createBuffer: ({ size }: GPUBufferDescriptor) => ({ size, destroy }),
  });
  const facts = { maxTensorBytes: limit, description: "test GPU" };
  const meter = new MemoryMeter();
  const memory = new GpuMemory({ device, facts } as unknown as Gpu, meter);
  return { memory, meter, destroy, target };
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
      isOutOfMemory({ neededBytes: 1004, availableBytes: 1000 }),
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
});
