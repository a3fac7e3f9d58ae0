// A small world in which everything that waits is ordered by a seed: reads and writes of the store, requests,
// pieces of bodies, locks, timers. Time stands still while anything can happen, and jumps when nothing can. The
// same seed gives the same order, so a failure can be looked at again.
import { createHash } from "node:crypto";
import { pseudoRandom } from "../../support/damage-json.ts";

/** A page of the browser: what it waits for stops when it dies, and stands still while it is frozen. */
export interface Page {
  readonly name: string;
  isDead: boolean;
  /** Virtual milliseconds until which nothing of it goes on. */
  frozenUntil: number;
}

interface Waiting {
  readonly page: Page | undefined;
  readonly what: string;
  readonly go: () => void;
}

interface Timer extends Waiting {
  readonly id: number;
  at: number;
  readonly every: number | undefined;
}

/** Steps after which a world is said to run in circles. */
const MAX_STEPS = 200_000;
/** Of a hundred choices, those in which a timer fires before what could happen. */
const EARLY_TIMERS = 2;
const START = Date.UTC(2026, 0, 1);

/** One simulated run. */
export class World {
  readonly random: (below: number) => number;
  /** What happened, for looking at a failure. */
  readonly log: string[] = [];
  now = 0;
  /** Whose turn it is: until the next thing happens, all that runs is its. */
  #current: Page | undefined;
  #waiting: Waiting[] = [];
  #timers: Timer[] = [];
  #lastTimer = 0;

  constructor(seed: number) {
    this.random = pseudoRandom(seed);
  }

  /** Begins work of a page when the world gets to it. */
  start(page: Page, work: () => void): void {
    this.#waiting.push({ page, what: "start", go: work });
  }

  /**
   * Resolves when the world gets to it; never for a page that died.
   *
   * @param page - who waits; to be named where another page's turn may be what leads here
   */
  step(what: string, page: Page | undefined = this.#current): Promise<void> {
    return new Promise((go) => this.#waiting.push({ page, what, go }));
  }

  /** Virtual milliseconds. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#addTimer(resolve, ms, undefined));
  }

  /** True with this chance in a hundred. */
  chance(percent: number): boolean {
    return this.random(100) < percent;
  }

  /** Ends a page without a word. */
  kill(page: Page): void {
    page.isDead = true;
    this.log.push(`${page.name} dies`);
  }

  /**
   * Lets things happen until nothing can.
   *
   * @param before - called before each of them
   */
  async run(before: (step: number) => void = () => undefined): Promise<void> {
    await settled();
    for (let step = 0; step < MAX_STEPS; step++) {
      before(step);
      if (!this.#happen()) return;
      await settled();
    }
    throw new Error(`the world does not come to rest: ${this.log.slice(-8).join("; ")}`);
  }

  /** Names of what still waits. */
  pending(): string[] {
    return [...this.#waiting, ...this.#timers]
      .filter(({ page }) => !page?.isDead)
      .map(({ page, what }) => `${page?.name ?? "world"}: ${what}`);
  }

  /** Replaces the clock, timers, hashes and blobs of this process while `work` runs. */
  async rule<T>(work: () => Promise<T>): Promise<T> {
    const restore = [
      replace(globalThis, "setTimeout", this.#setTimer(undefined)),
      replace(globalThis, "clearTimeout", (id: unknown) => this.#clear(id)),
      replace(globalThis, "setInterval", this.#setTimer("every")),
      replace(globalThis, "clearInterval", (id: unknown) => this.#clear(id)),
      replace(globalThis, "Blob", InstantBlob),
      replace(Date, "now", () => START + Math.floor(this.now)),
      replace(performance, "now", () => this.now),
      replace(Math, "random", () => this.random(2 ** 31) / 2 ** 31),
      replace(crypto.subtle, "digest", async (_: string, data: Uint8Array) => {
        const { buffer, byteOffset, byteLength } = createHash("sha256").update(data).digest();
        return buffer.slice(byteOffset, byteOffset + byteLength);
      }),
    ];
    try {
      return await work();
    } finally {
      for (const undo of restore) undo();
    }
  }

  #happen(): boolean {
    this.#waiting = this.#waiting.filter(({ page }) => !page?.isDead);
    this.#timers = this.#timers.filter(({ page }) => !page?.isDead);
    const ready = this.#waiting.filter((one) => !this.#isFrozen(one));
    const isEarly = this.#timers.length > 0 && this.chance(EARLY_TIMERS);
    if (ready.length === 0 || isEarly) return this.#fireTimer();
    const chosen = ready[this.random(ready.length)];
    if (!chosen) return false;
    this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
    this.#go(chosen);
    return true;
  }

  // A frozen page's timers fire when it thaws.
  #fireTimer(): boolean {
    const thaws = [...this.#waiting, ...this.#timers].filter((one) => this.#isFrozen(one));
    const due = (timer: Timer): number => Math.max(timer.at, timer.page?.frozenUntil ?? 0);
    const [next] = this.#timers.toSorted((a, b) => due(a) - due(b) || a.id - b.id);
    const thaw = Math.min(Infinity, ...thaws.map(({ page }) => page?.frozenUntil ?? 0));
    if (!next && thaws.length === 0) return false;
    if (!next || thaw < due(next)) {
      this.now = thaw;
      return true;
    }
    this.now = Math.max(this.now, due(next));
    if (next.every === undefined) this.#clear(next.id);
    else next.at = this.now + next.every;
    this.#go(next);
    return true;
  }

  #isFrozen({ page }: Waiting): boolean {
    return page !== undefined && page.frozenUntil > this.now;
  }

  #go({ page, what, go }: Waiting): void {
    this.log.push(`${this.now} ${page?.name ?? "world"} ${what}`);
    this.#current = page;
    go();
  }

  #setTimer(kind: "every" | undefined): unknown {
    return (go: () => void, ms = 0) => this.#addTimer(go, ms, kind && ms);
  }

  #addTimer(go: () => void, ms: number, every: number | undefined): number {
    const id = ++this.#lastTimer;
    const page = this.#current;
    this.#timers.push({ id, page, what: `timer ${ms} ms`, go, at: this.now + ms, every });
    return id;
  }

  #clear(id: unknown): void {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  }
}

const realImmediate = setImmediate;

// Promises are all settled by then that nothing outside of this process holds up.
function settled(): Promise<void> {
  return new Promise((resolve) => realImmediate(() => resolve()));
}

function replace(owner: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  Object.defineProperty(owner, name, { configurable: true, writable: true, value });
  return () => {
    if (before) Object.defineProperty(owner, name, before);
    else Reflect.deleteProperty(owner, name);
  };
}

/** A blob that is read without asking another thread. */
class InstantBlob extends Blob {
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(parts: readonly Uint8Array[] = []) {
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    super([]);
    this.#bytes = bytes;
  }

  override get size(): number {
    return this.#bytes.length;
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#bytes.slice().buffer;
  }
}
