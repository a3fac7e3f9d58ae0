// A clock that stands still until it is told to go: timers and performance.now of this thread, without a test runner.
// What threads say to each other is not time and goes on.

interface Timer {
  readonly id: number;
  readonly call: () => void;
  readonly everyMs: number | undefined;
  dueMs: number;
}

const REAL = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
};

/** Event loop turns that a message and what follows from it may take. */
const TURNS = 3;
const SLICES = 20;

/** Install one at a time. */
export class FakeClock {
  readonly #timers = new Map<number, Timer>();
  readonly #realNow = performance.now.bind(performance);
  #now = 1_000;
  #lastId = 0;

  /** Takes the place of the real clock. */
  install(): void {
    const start = (call: () => void, ms = 0): number => this.#add(call, ms, undefined);
    const repeat = (call: () => void, ms = 0): number => this.#add(call, ms, ms);
    const clear = (id: number): void => void this.#timers.delete(id);
    Object.assign(globalThis, {
      setTimeout: start,
      setInterval: repeat,
      clearTimeout: clear,
      clearInterval: clear,
    });
    performance.now = () => this.#now;
  }

  /** Puts the real clock back. */
  uninstall(): void {
    Object.assign(globalThis, REAL);
    performance.now = this.#realNow;
    this.#timers.clear();
  }

  /** Lets time pass: timers fire in order, and what follows from each happens before the next. */
  async pass(milliseconds: number): Promise<void> {
    const begin = this.#now;
    // What is being said between threads may set a timer within this time.
    for (let slice = 1; slice <= SLICES; slice++) {
      await turns();
      await this.#passUntil(begin + (milliseconds * slice) / SLICES);
    }
  }

  async #passUntil(end: number): Promise<void> {
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.dueMs);
      if (next.everyMs === undefined) this.#timers.delete(next.id);
      else next.dueMs += Math.max(1, next.everyMs);
      next.call();
      await turns();
    }
    this.#now = Math.max(this.#now, end);
  }

  #add(call: () => void, ms: number, everyMs: number | undefined): number {
    const id = ++this.#lastId;
    this.#timers.set(id, { id, call, everyMs, dueMs: this.#now + ms });
    return id;
  }

  #next(end: number): Timer | undefined {
    const due = [...this.#timers.values()].filter(({ dueMs }) => dueMs <= end);
    return due.toSorted((a, b) => a.dueMs - b.dueMs || a.id - b.id)[0];
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
}
