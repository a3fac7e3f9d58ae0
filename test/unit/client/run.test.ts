import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { present } from "../../../src/base/assert.ts";
import { Run } from "../../../src/client/run.ts";

interface Controls {
  report: (event: string) => void;
  resolve: (result: number) => void;
  reject: (error: unknown) => void;
}

function startRun(): { run: Run<number, string> } & Controls {
  let controls: Controls | undefined;
  const run = new Run<number, string>(
    (report) =>
      new Promise((resolve, reject) => {
        controls = { report, resolve, reject };
      }),
  );
  return { run, ...present(controls, "the started work") };
}

async function collect(run: AsyncIterable<string>): Promise<string[]> {
  const events: string[] = [];
  for await (const event of run) events.push(event);
  return events;
}

/** Node reports unhandled rejections after the microtasks of a turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("Run, awaited", () => {
  test("starts its work before anybody awaits it", () => {
    let hasStarted = false;
    const run = new Run(async () => {
      hasStarted = true;
    });
    expect(hasStarted).toBe(true);
    return run;
  });

  test("gives its result to every await", async () => {
    const { run, resolve } = startRun();
    resolve(7);
    expect(await run).toBe(7);
    expect(await run).toBe(7);
    expect(await Promise.all([run, run])).toEqual([7, 7]);
  });

  test("has catch and finally of a promise", async () => {
    const { run, reject } = startRun();
    let isOver = false;
    const outcome = run
      .finally(() => {
        isOver = true;
      })
      .catch((error: unknown) => error);
    reject("lost");
    expect(await outcome).toBe("lost");
    expect(isOver).toBe(true);
    expect(await run.catch(() => 1)).toBe(1);
  });
});

describe("Run, iterated", () => {
  test("gives events in order and ends with the result", async () => {
    const { run, report, resolve } = startRun();
    const events = collect(run);
    report("a");
    await nextTurn();
    report("b");
    report("c");
    resolve(1);
    expect(await events).toEqual(["a", "b", "c"]);
    expect(await run).toBe(1);
  });

  test("shows every loop all events, also one that begins after the end", async () => {
    const { run, report, resolve } = startRun();
    report("a");
    const early = collect(run);
    report("b");
    resolve(1);
    expect(await early).toEqual(["a", "b"]);
    expect(await collect(run)).toEqual(["a", "b"]);
  });

  test("goes on when a loop is left", async () => {
    const { run, report, resolve } = startRun();
    report("a");
    for await (const event of run) {
      expect(event).toBe("a");
      break;
    }
    report("b");
    resolve(3);
    expect(await run).toBe(3);
    expect(await collect(run)).toEqual(["a", "b"]);
  });

  test("ends loops and awaits with the same error", async () => {
    const { run, report, reject } = startRun();
    const error = new Error("lost");
    const seen: string[] = [];
    const loop = (async () => {
      for await (const event of run) seen.push(event);
    })();
    report("a");
    reject(error);
    await expect(loop).rejects.toBe(error);
    await expect(Promise.resolve(run)).rejects.toBe(error);
    expect(seen).toEqual(["a"]);
  });

  test("ignores what is reported after its end", async () => {
    const { run, report, resolve } = startRun();
    resolve(1);
    await run;
    report("late");
    expect(await collect(run)).toEqual([]);
  });
});

describe("Run, failed", () => {
  const unhandled: unknown[] = [];
  const record = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => {
    unhandled.length = 0;
    process.on("unhandledRejection", record);
  });
  afterEach(() => void process.off("unhandledRejection", record));

  test("is no unhandled rejection when the caller only loops", async () => {
    const { run, reject } = startRun();
    const loop = collect(run).catch((error: unknown) => error);
    reject("lost");
    expect(await loop).toBe("lost");
    await nextTurn();
    expect(unhandled).toEqual([]);
  });

  test("is no unhandled rejection when the loop was left before the failure", async () => {
    const { run, report, reject } = startRun();
    report("a");
    for await (const _ of run) break;
    reject("lost");
    await nextTurn();
    expect(unhandled).toEqual([]);
  });

  test("is an unhandled rejection when nobody looks: a failure is never hidden", async () => {
    const { reject } = startRun();
    reject("nobody looked");
    await nextTurn();
    expect(unhandled).toEqual(["nobody looked"]);
  });
});
