// How long the GPU computes: timestamps around every compute pass of this worker, onnxruntime's and ours.
// Works because the wasm of onnxruntime calls WebGPU through JavaScript.

/** Passes that one measurement can hold: a query set has at most 4096 entries, two per pass. */
const MAX_PASSES = 2048;

interface Recording {
  readonly device: GPUDevice;
  readonly queries: GPUQuerySet;
  passes: number;
}

let recording: Recording | undefined;
let seenDevice: GPUDevice | undefined;

/** Patches WebGPU in this worker. Call before a device is requested. */
export function installGpuClock(): void {
  if (!("GPUAdapter" in globalThis)) return;
  // Called on their own `this` below.
  // oxlint-disable-next-line typescript/unbound-method
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    seenDevice = await requestDevice.call(this, descriptor);
    return seenDevice;
  };
  // oxlint-disable-next-line typescript/unbound-method
  const { beginComputePass } = GPUCommandEncoder.prototype;
  GPUCommandEncoder.prototype.beginComputePass = function (descriptor) {
    return beginComputePass.call(this, timestamped(descriptor));
  };
}

/**
 * Runs `work` and sums the time of its compute passes.
 *
 * @returns milliseconds; undefined where the device has no timestamps or the work has too many passes
 */
export async function gpuMilliseconds(work: () => Promise<void>): Promise<number | undefined> {
  const device = seenDevice;
  if (!device?.features.has("timestamp-query")) return undefined;
  const queries = device.createQuerySet({ type: "timestamp", count: MAX_PASSES * 2 });
  const current: Recording = { device, queries, passes: 0 };
  recording = current;
  try {
    await work();
  } finally {
    recording = undefined;
  }
  const isWhole = current.passes > 0 && current.passes <= MAX_PASSES;
  const total = isWhole ? await sumOfPasses(current) : undefined;
  queries.destroy();
  return total;
}

function timestamped(
  descriptor: GPUComputePassDescriptor | undefined,
): GPUComputePassDescriptor | undefined {
  if (!recording) return descriptor;
  const first = recording.passes * 2;
  recording.passes += 1;
  if (recording.passes > MAX_PASSES) return descriptor;
  return {
    ...descriptor,
    timestampWrites: {
      querySet: recording.queries,
      beginningOfPassWriteIndex: first,
      endOfPassWriteIndex: first + 1,
    },
  };
}

async function sumOfPasses({ device, queries, passes }: Recording): Promise<number> {
  const size = passes * 2 * 8;
  const resolved = device.createBuffer({
    size,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const readable = device.createBuffer({
    size,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(queries, 0, passes * 2, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, readable, 0, size);
  device.queue.submit([encoder.finish()]);
  await readable.mapAsync(GPUMapMode.READ);
  const times = new BigUint64Array(readable.getMappedRange().slice(0));
  resolved.destroy();
  readable.destroy();
  let nanoseconds = 0;
  for (let pass = 0; pass < passes; pass++) {
    nanoseconds += Number((times[pass * 2 + 1] ?? 0n) - (times[pass * 2] ?? 0n));
  }
  return nanoseconds / 1e6;
}
