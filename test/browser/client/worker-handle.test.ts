import { proxy } from "comlink";
import { afterEach, describe, expect, test } from "vitest";
import { ModelError } from "../../../src/base/errors.ts";
import { WorkerHandle } from "../../../src/client/worker-handle.ts";
import type { AnsweringApi } from "./workers/answering.ts";

const handles: WorkerHandle<AnsweringApi>[] = [];
afterEach(() => handles.splice(0).forEach((handle) => handle.end("the test is over")));

function spawn(): Worker {
  return new Worker(new URL("./workers/answering.ts", import.meta.url), { type: "module" });
}

async function start(): Promise<WorkerHandle<AnsweringApi>> {
  const handle = await WorkerHandle.start<AnsweringApi>(kind(spawn));
  handles.push(handle);
  return handle;
}

function kind(spawnWorker: () => Worker): {
  name: string;
  deathCode: "device-lost";
  spawn: () => Worker;
} {
  return { name: "engine", deathCode: "device-lost", spawn: spawnWorker };
}

function workerOf(url: string): () => Worker {
  return () => new Worker(url, { type: "module" });
}

/** A script from this origin's memory. */
function script(text: string): string {
  return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
}

describe("WorkerHandle with a real worker", () => {
  test("answers, and throws with class, code and cause", async () => {
    const handle = await start();
    expect(await handle.call((remote) => remote.double(21))).toBe(42);
    const error: unknown = await handle.call((remote) => remote.refuse()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ModelError);
    expect(error).toMatchObject({
      code: "numerics",
      details: { step: 7 },
      cause: { name: "DataError" },
    });
  });

  test("carries an abort to the worker although the call is let go at once", async () => {
    const handle = await start();
    const timeout = AbortSignal.timeout(50);
    const controller = new AbortController();
    const calls = [timeout, controller.signal].map((signal) =>
      handle.call((remote, crossing) => remote.waitForAbort(crossing), signal),
    );
    const outcomes = Promise.allSettled(calls);
    const reason = { mine: true };
    controller.abort(reason);
    const [first, second] = await outcomes;
    expect(first).toMatchObject({ reason: timeout.reason });
    expect(second).toHaveProperty("reason", reason);
    await expect.poll(() => handle.call((remote) => remote.abortsHeard())).toBe(2);
  });

  test("gets every event before the result, in order", async () => {
    const handle = await start();
    const seen: number[] = [];
    const listener = proxy(({ data }: { data: Uint8Array }) => void seen.push(data[0] ?? -1));
    const count = await handle.call((remote) => remote.tell(listener, 200));
    expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
  });

  test("reports an exception that nobody caught in the worker, and ends it", async () => {
    const handle = await start();
    const waiting = handle.call((remote, signal) => remote.waitForAbort(signal));
    const outcome = expect(waiting).rejects.toMatchObject({
      code: "device-lost",
      message: expect.stringContaining("thrown out of nowhere"),
    });
    await handle.call((remote) => remote.crash());
    await outcome;
    expect(handle.isAlive).toBe(false);
  });

  test("ends a blocked worker without waiting for it", async () => {
    const handle = await start();
    const blocked = handle.call((remote) => remote.block());
    handle.end("enough");
    await expect(blocked).rejects.toBe("enough");
  });
});

describe("WorkerHandle.start with a real worker", () => {
  test.each([
    ["a script that is not there", "/no/such/script.js"],
    ["a script with a syntax error", script("let let let;")],
    ["a script whose import fails", script("import 'http://localhost:1/none.js';")],
    ["a file that is no script", URL.createObjectURL(new Blob(["hi"], { type: "text/plain" }))],
  ])("rejects for %s", async (_, url) => {
    const starting = WorkerHandle.start(kind(workerOf(url)));
    await expect(starting).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringContaining("The engine worker did not start"),
    });
  });

  test("names what a script throws while it starts", async () => {
    const starting = WorkerHandle.start(kind(workerOf(script("throw new Error('no luck')"))));
    await expect(starting).rejects.toThrow("no luck");
  });

  test("rejects for a script of another origin", async () => {
    const starting = WorkerHandle.start(kind(workerOf("https://other.example/worker.js")));
    await expect(starting).rejects.toMatchObject({ code: "download-failed" });
  });
});
