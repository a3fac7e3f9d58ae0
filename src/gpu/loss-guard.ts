// Stands between a promise of the GPU and whoever waits for it: after a device loss promises may never
// settle, or settle as if the work had been done.
import type { Gpu } from "./device.ts";
import { deviceLost } from "./device.ts";

/** Turns the loss of one device into rejections. */
export class LossGuard {
  readonly #gpu: Gpu;
  readonly #waiting = new Set<(error: Error) => void>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    void gpu.lost.then((reason) => {
      for (const reject of this.#waiting) reject(deviceLost(reason));
    });
  }

  isLost(): boolean {
    return this.#gpu.lostReason() !== undefined;
  }

  /** @throws ModelError device-lost once the device is gone */
  check(): void {
    const reason = this.#gpu.lostReason();
    if (reason !== undefined) throw deviceLost(reason);
  }

  /** The result of `work`, unless the device is gone by then. Never waits longer than the device lives. */
  async wait<T>(work: Promise<T>): Promise<T> {
    let abandon: ((error: Error) => void) | undefined;
    const loss = new Promise<never>((_, reject) => {
      abandon = reject;
      this.#waiting.add(reject);
    });
    try {
      const result = await Promise.race([work, loss]);
      this.check();
      return result;
    } catch (error) {
      // Whatever failed, the loss is why.
      this.check();
      throw error;
    } finally {
      if (abandon) this.#waiting.delete(abandon);
    }
  }
}
