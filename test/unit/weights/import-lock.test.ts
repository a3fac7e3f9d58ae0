import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { exclusively } from "../../../src/weights/import-lock.ts";
import type { LockOptions, Locks } from "../../../src/weights/import-lock.ts";
import { FakeLocks } from "../../support/fake-locks.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("exclusively", () => {
  test("lets one tab work at a time", async () => {
    const shared = new FakeLocks();
    const log: string[] = [];
    const work = (name: string) => async (): Promise<string> => {
      log.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      log.push(`${name} ends`);
      return name;
    };
    const both = [
      exclusively(options(shared.openTab()), work("a")),
      exclusively(options(shared.openTab()), work("b")),
    ];
    await vi.advanceTimersByTimeAsync(3000);
    expect(await Promise.all(both)).toEqual(["a", "b"]);
    expect(log).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  test("goes on at once when the tab that works dies", async () => {
    const shared = new FakeLocks();
    const dying = shared.openTab();
    void exclusively(options(dying), () => new Promise(() => undefined));
    const waiting = exclusively(options(shared.openTab()), async () => "mine");
    await vi.advanceTimersByTimeAsync(10);
    dying.die();
    expect(await waiting).toBe("mine");
  });

  test("takes the lock from a tab that is frozen, not from one that is slow", async () => {
    const shared = new FakeLocks();
    const pulse = sharedPulse();
    let finish: (name: string) => void = () => undefined;
    const slow = new Promise<string>((resolve) => (finish = resolve));
    const first = exclusively(options(shared.openTab(), pulse), () => slow);
    const begun = vi.fn(async () => "second");
    const second = exclusively(options(shared.openTab(), pulse), begun);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(begun).not.toHaveBeenCalled();
    pulse.freeze();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await second).toBe("second");
    finish("first"); // thawed, it ends as if nothing had happened
    expect(await first).toBe("first");
  });

  test("stops waiting when it is told to", async () => {
    const shared = new FakeLocks();
    const stop = new AbortController();
    void exclusively(options(shared.openTab()), () => new Promise(() => undefined));
    const work = vi.fn(async () => undefined);
    const waiting = exclusively({ ...options(shared.openTab()), signal: stop.signal }, work);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    expect(work).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(vi.getTimerCount()).toBe(1); // the beat of the one that works
  });

  test("hands on what the work throws, and frees the lock", async () => {
    const shared = new FakeLocks();
    const failing = exclusively(options(shared.openTab()), () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(await exclusively(options(shared.openTab()), async () => 1)).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each<[string, Locks | undefined]>([
    ["missing", undefined],
    ["refused", { request: () => Promise.reject(new DOMException("", "SecurityError")) }],
  ])("works where locks are %s", async (_, locks) => {
    expect(await exclusively(options(locks), async () => "done")).toBe("done");
  });

  test("says that it waits", async () => {
    const shared = new FakeLocks();
    void exclusively(options(shared.openTab()), () => new Promise(() => undefined));
    const onWait = vi.fn();
    void exclusively({ ...options(shared.openTab(), sharedPulse()), onWait }, async () => 0);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(onWait).toHaveBeenCalledTimes(2);
  });
});

function sharedPulse() {
  let [last, isFrozen] = [0, false];
  return {
    beat: async (): Promise<void> => {
      if (!isFrozen) last = Date.now();
    },
    lastBeat: async (): Promise<number> => last,
    freeze: (): void => {
      isFrozen = true;
    },
  };
}

function options(locks: Locks | undefined, pulse = sharedPulse()): LockOptions {
  return { name: "model", signal: new AbortController().signal, locks, ...pulse };
}
