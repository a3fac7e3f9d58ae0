// A device with known memory: a stand-in that refuses what is beyond it.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { probeMemory } from "../../../src/gpu/probe-memory.ts";

const MIB = 2 ** 20;

beforeEach(() => void vi.stubGlobal("GPUBufferUsage", { STORAGE: 128 }));
afterEach(() => vi.unstubAllGlobals());

function deviceOf(memoryBytes: number, maxBufferSize = 1024 * MIB) {
  const state = { held: 0, most: 0, scopes: 0 };
  let isRefused = false;
  const device = {
    limits: { maxBufferSize },
    pushErrorScope: () => void (state.scopes += 1),
    popErrorScope: async () => {
      state.scopes -= 1;
      return isRefused ? { message: "heap is full" } : null;
    },
    createBuffer({ size }: GPUBufferDescriptor) {
      isRefused = state.held + size > memoryBytes;
      const own = isRefused ? 0 : size;
      state.held += own;
      state.most = Math.max(state.most, state.held);
      return { destroy: () => void (state.held -= own) };
    },
  };
  return { device: device as unknown as GPUDevice, state };
}

test.each([
  [0, 0],
  [100 * MIB, 100 * MIB],
  [1024 * MIB, 1024 * MIB],
  [4096 * MIB, 2048 * MIB],
])("of %i bytes wanted, a device of 2 GiB gives %i, and has them back", async (wanted, given) => {
  const { device, state } = deviceOf(2048 * MIB);
  expect(await probeMemory(device, wanted)).toBe(given);
  expect(state).toMatchObject({ held: 0, scopes: 0 });
});

test("keeps to the largest buffer", async () => {
  const { device, state } = deviceOf(2048 * MIB, 64 * MIB);
  expect(await probeMemory(device, 200 * MIB)).toBe(200 * MIB);
  expect(state.most).toBe(256 * MIB);
});
