// Bytes of tensors, now and at their most.
import type { MemoryUse } from "./runtime.ts";

/** Counts tensor bytes of one runtime. */
export class MemoryMeter implements MemoryUse {
  #now = 0;
  #peak = 0;

  get tensorBytes(): number {
    return this.#now;
  }

  get peakTensorBytes(): number {
    return this.#peak;
  }

  /** Adds the bytes of a new tensor, or takes those of a freed one (negative). */
  add(bytes: number): void {
    this.#now += bytes;
    this.#peak = Math.max(this.#peak, this.#now);
  }
}
