// Web Locks for Node: one manager for several tabs, each of which may die as tabs do.
import type { Locks } from "../../src/weights/import-lock.ts";

interface Claim {
  readonly tab: object;
  readonly begin: () => void;
  /** Told to whoever asked when the lock is taken away. */
  readonly lose: (reason: unknown) => void;
}

/** Locks that several tabs share. */
export class FakeLocks {
  readonly #held = new Map<string, Claim>();
  readonly #waiting = new Map<string, Claim[]>();

  /** What one tab sees. `die` ends its locks and its waiting without a word. */
  openTab(): Locks & { readonly die: () => void } {
    const tab = {};
    const request = (
      name: string,
      options: LockOptions,
      callback: LockGrantedCallback<unknown>,
    ): Promise<unknown> =>
      new Promise((resolve, reject) =>
        this.#claim(tab, name, options, { callback, resolve, reject }),
      );
    return { request: request as Locks["request"], die: () => this.#end(tab) };
  }

  #claim(
    tab: object,
    name: string,
    { signal, steal = false }: LockOptions,
    { callback, resolve, reject }: Asked,
  ): void {
    if (signal?.aborted) return reject(signal.reason);
    const begin = (): void => {
      this.#held.set(name, claim);
      // As the browser does: never in the middle of the call.
      const work = async (): Promise<unknown> => {
        await Promise.resolve();
        return callback({ name, mode: "exclusive" });
      };
      void work()
        .then(resolve, reject)
        .finally(() => this.#release(name, claim));
    };
    const claim: Claim = { tab, begin, lose: reject };
    if (steal) {
      this.#held.get(name)?.lose(new DOMException("The lock was stolen.", "AbortError"));
      return begin();
    }
    if (!this.#held.has(name)) return begin();
    this.#queue(name).push(claim);
    signal?.addEventListener("abort", () => {
      const queue = this.#queue(name);
      const at = queue.indexOf(claim);
      if (at < 0) return;
      queue.splice(at, 1);
      reject(signal.reason);
    });
  }

  #release(name: string, claim: Claim): void {
    if (this.#held.get(name) !== claim) return;
    this.#held.delete(name);
    this.#queue(name).shift()?.begin();
  }

  #end(tab: object): void {
    for (const [name, queue] of this.#waiting) {
      this.#waiting.set(
        name,
        queue.filter((claim) => claim.tab !== tab),
      );
    }
    for (const [name, claim] of this.#held) if (claim.tab === tab) this.#release(name, claim);
  }

  #queue(name: string): Claim[] {
    const queue = this.#waiting.get(name) ?? [];
    this.#waiting.set(name, queue);
    return queue;
  }
}

interface Asked {
  readonly callback: LockGrantedCallback<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}
