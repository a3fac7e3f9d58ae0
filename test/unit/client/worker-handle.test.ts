import { afterEach, describe, expect, test, vi } from "vitest";
import { fail } from "../../../src/base/errors.ts";
import { WorkerHandle } from "../../../src/client/worker-handle.ts";
import { collectGarbage } from "../../support/collect-garbage.ts";
import { nextTurn } from "../../support/fake-model.ts";
import { fakeWorker } from "../../support/fake-worker.ts";
import type { FakeWorker } from "../../support/fake-worker.ts";

const api = {
  ping(): void {},
  add: (a: number, b: number): number => a + b,
  async collect(): Promise<string> {
    for (let turn = 0; turn < 3; turn++) {
      await nextTurn();
      collectGarbage();
    }
    return "collected";
  },
  refuse(): void {
    throw fail("busy", "not now", { seconds: 3 });
  },
  wait: (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        heardAbort += 1;
        resolve();
      });
    }),
};
let heardAbort = 0;

const started: FakeWorker[] = [];
afterEach(() => {
  started.splice(0).forEach((worker) => worker.terminate());
  vi.useRealTimers();
});

function kind(exposed?: object): {
  name: string;
  deathCode: "device-lost";
  spawn: () => FakeWorker;
} {
  return {
    name: "engine",
    deathCode: "device-lost",
    spawn() {
      const worker = fakeWorker(exposed);
      started.push(worker);
      return worker;
    },
  };
}

async function start(): Promise<{ handle: WorkerHandle<typeof api>; worker: FakeWorker }> {
  const handle = await WorkerHandle.start<typeof api>(kind(api));
  const [worker] = started;
  if (!worker) throw new Error("no worker was started");
  return { handle, worker };
}

describe("WorkerHandle.call", () => {
  test("gives answers", async () => {
    const { handle } = await start();
    expect(await handle.call((remote) => remote.add(2, 3))).toBe(5);
  });

  test("throws what the worker throws", async () => {
    const { handle } = await start();
    const refused = handle.call((remote) => remote.refuse());
    await expect(refused).rejects.toMatchObject({ code: "busy", details: { seconds: 3 } });
  });

  test("rejects at once with the signal's own reason, and the worker hears of it", async () => {
    const { handle } = await start();
    const controller = new AbortController();
    const call = handle.call((remote, signal) => remote.wait(signal), controller.signal);
    const reason = { my: "reason" };
    heardAbort = 0;
    await nextTurn();
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await vi.waitFor(() => expect(heardAbort).toBe(1));
    expect(await handle.call((remote) => remote.add(1, 1))).toBe(2);
  });

  test("gets its answer although the application holds nothing but the call", async () => {
    const call = (await start()).handle.call((remote) => remote.collect());
    expect(await call).toBe("collected");
  });

  test("an aborted signal makes no call", async () => {
    const { handle } = await start();
    let calls = 0;
    const call = handle.call(async () => (calls += 1), AbortSignal.abort("early"));
    await expect(call).rejects.toBe("early");
    expect(calls).toBe(0);
  });
});

describe("WorkerHandle, dead", () => {
  test("a worker's error ends all its calls, and every later one", async () => {
    const { handle, worker } = await start();
    const never = new AbortController().signal;
    const calls = [1, 2, 3].map(() => handle.call((remote, signal) => remote.wait(signal), never));
    const outcomes = Promise.allSettled(calls);
    worker.crash("out of memory");
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({
        reason: { code: "device-lost", details: { reason: "out of memory" } },
      });
    }
    expect(handle.isAlive).toBe(false);
    expect(worker.isTerminated).toBe(true);
    const late = handle.call((remote) => remote.add(1, 1));
    await expect(late).rejects.toMatchObject({ code: "device-lost" });
  });

  test("a message that cannot be read ends it, since an answer may be lost", async () => {
    const { handle, worker } = await start();
    const call = handle.call((remote, signal) => remote.wait(signal));
    const outcome = expect(call).rejects.toMatchObject({
      code: "device-lost",
      details: { reason: "it sent what cannot be read" },
    });
    worker.dispatchEvent(new MessageEvent("messageerror"));
    await outcome;
    expect(worker.isTerminated).toBe(true);
  });

  test("a silent worker is ended and reported", async () => {
    const { handle, worker } = await start();
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const call = handle.call((remote, signal) => remote.wait(signal));
    const outcome = expect(call).rejects.toThrow("did not answer for 60 s");
    await nextTurn();
    worker.hang();
    await vi.advanceTimersByTimeAsync(65_000);
    await outcome;
    expect(worker.isTerminated).toBe(true);
  });

  test("one that fell silent with nothing to do is found soon after the next call", async () => {
    const { handle, worker } = await start();
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    worker.hang();
    const call = handle.call((remote) => remote.add(1, 1));
    const outcome = expect(call).rejects.toThrow("did not answer for 10 s");
    await vi.advanceTimersByTimeAsync(15_000);
    await outcome;
    expect(worker.isTerminated).toBe(true);
  });

  test("one that still works at what nobody waits for has its minute", async () => {
    const { handle, worker } = await start();
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const controller = new AbortController();
    const given = handle.call((remote) => remote.collect(), controller.signal);
    worker.hang();
    controller.abort("enough");
    await expect(given).rejects.toBe("enough");
    const call = handle.call((remote) => remote.add(1, 1));
    const outcome = expect(call).rejects.toThrow("did not answer for 60 s");
    await vi.advanceTimersByTimeAsync(55_000);
    expect(worker.isTerminated).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    await outcome;
  });

  test("end rejects what waits with its reason", async () => {
    const { handle, worker } = await start();
    const call = handle.call((remote, signal) => remote.wait(signal));
    handle.end("over");
    await expect(call).rejects.toBe("over");
    expect(worker.isTerminated).toBe(true);
  });

  test("generations grow", async () => {
    const first = await WorkerHandle.start<typeof api>(kind(api));
    const second = await WorkerHandle.start<typeof api>(kind(api));
    expect(second.generation).toBeGreaterThan(first.generation);
  });
});

describe("WorkerHandle.start", () => {
  test("names the reason when the script fails", async () => {
    const starting = WorkerHandle.start(kind());
    started[0]?.crash("Unexpected token");
    await expect(starting).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringContaining("Unexpected token"),
      details: { worker: "engine" },
    });
    expect(started[0]?.isTerminated).toBe(true);
  });

  test("says what a browser's empty error may be", async () => {
    const starting = WorkerHandle.start(kind());
    started[0]?.crash("");
    await expect(starting).rejects.toThrow("its script could not be loaded");
  });

  test("gives up after 20 s without an answer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const outcome = expect(WorkerHandle.start(kind())).rejects.toThrow("within 20 s");
    await vi.advanceTimersByTimeAsync(20_000);
    await outcome;
    expect(started[0]?.isTerminated).toBe(true);
  });

  test("reports a Worker that cannot be constructed", async () => {
    const spawn = (): Worker => {
      throw new DOMException("Script at another origin", "SecurityError");
    };
    const starting = WorkerHandle.start({ name: "engine", deathCode: "device-lost", spawn });
    await expect(starting).rejects.toMatchObject({
      code: "download-failed",
      cause: { name: "SecurityError" },
    });
  });

  test("ends the worker when the caller aborts", async () => {
    const controller = new AbortController();
    const starting = WorkerHandle.start(kind(), controller.signal);
    controller.abort("stop");
    await expect(starting).rejects.toBe("stop");
    expect(started[0]?.isTerminated).toBe(true);
  });
});

test("what has ended is forgotten, with the calls that were never answered", async () => {
  const forgotten = new WeakRef(await endedWithACall());
  for (let turn = 0; turn < 5; turn++) {
    await nextTurn();
    collectGarbage();
  }
  // The worker itself is still there, as in a browser that has not collected it.
  expect(started).toHaveLength(1);
  expect(forgotten.deref()).toBeUndefined();
});

async function endedWithACall(): Promise<object> {
  const { handle } = await start();
  const call = handle.call((remote, signal) => remote.wait(signal));
  handle.end("enough");
  await expect(call).rejects.toBe("enough");
  return handle;
}
