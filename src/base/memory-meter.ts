// Bytes of tensors, now and at their most. Both backends count with it.

/** Told when memory comes (positive) and goes (negative). */
export interface MemoryAccount {
  /** Bytes that are there now. */
  readonly tensorBytes: number;
  add(bytes: number): void;
}

/** Counts the tensor bytes of one runtime. */
export class MemoryMeter implements MemoryAccount {
  #now = 0;
  #peak = 0;

  get tensorBytes(): number {
    return this.#now;
  }

  get peakTensorBytes(): number {
    return this.#peak;
  }

  add(bytes: number): void {
    this.#now += bytes;
    this.#peak = Math.max(this.#peak, this.#now);
  }
}
