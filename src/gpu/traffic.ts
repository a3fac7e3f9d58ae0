// Counts what crosses between JavaScript and the GPU, by whomever: onnxruntime uses the same device
// object, so its uploads and submits are counted as well. Changes nothing else about the device.

/** Counts since the device was wrapped. */
export interface TrafficCounters {
  /** mapAsync calls that read. */
  readonly readbacks: number;
  /** writeBuffer calls, buffers mapped at creation, mapAsync calls that write. */
  readonly uploads: number;
  readonly submits: number;
  /** onSubmittedWorkDone calls of others: waits until the queue is dry. */
  readonly drains: number;
  /** Marks of our own, which pace a loop. */
  readonly fences: number;
}

/** The counters of one device. */
export class Traffic {
  readonly counters: { -readonly [Name in keyof TrafficCounters]: number } = {
    readbacks: 0,
    uploads: 0,
    submits: 0,
    drains: 0,
    fences: 0,
  };
  readonly #workDone: () => Promise<undefined>;

  /** Wraps the methods of `device` and of its queue; wrap a device once. */
  constructor(device: GPUDevice) {
    const { queue } = device;
    this.#workDone = queue.onSubmittedWorkDone.bind(queue);
    this.#watchQueue(queue);
    this.#watchBuffers(device);
  }

  /** Settles when everything submitted so far is done; also on a lost device. */
  async fence(): Promise<void> {
    this.counters.fences += 1;
    await this.#workDone();
  }

  #watchQueue(queue: GPUQueue): void {
    const { counters } = this;
    const writeBuffer = queue.writeBuffer.bind(queue);
    const submit = queue.submit.bind(queue);
    queue.writeBuffer = (...parameters: Parameters<GPUQueue["writeBuffer"]>) => {
      counters.uploads += 1;
      return writeBuffer(...parameters);
    };
    queue.submit = (buffers) => {
      counters.submits += 1;
      return submit(buffers);
    };
    queue.onSubmittedWorkDone = () => {
      counters.drains += 1;
      return this.#workDone();
    };
  }

  #watchBuffers(device: GPUDevice): void {
    const { counters } = this;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = createBuffer(descriptor);
      if (descriptor.mappedAtCreation) counters.uploads += 1;
      if (descriptor.usage & (GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE)) {
        this.#watchMapping(buffer);
      }
      return buffer;
    };
  }

  #watchMapping(buffer: GPUBuffer): void {
    const { counters } = this;
    const mapAsync = buffer.mapAsync.bind(buffer);
    buffer.mapAsync = (mode, ...range) => {
      if (mode & GPUMapMode.READ) counters.readbacks += 1;
      else counters.uploads += 1;
      return mapAsync(mode, ...range);
    };
  }
}
