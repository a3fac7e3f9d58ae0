import { describe, expect, test } from "vitest";
import type { LoadProgress, RunEvent } from "../../../src/base/events.ts";
import type { TaskRequest } from "../../../src/base/requests.ts";
import { Engine } from "../../../src/engine/engine.ts";
import { fakeInfo, fakeModel, nextTurn } from "../../support/fake-model.ts";
import type { FakeModel } from "../../support/fake-model.ts";

const NEVER = new AbortController().signal;
const ignore = (): void => undefined;

function write(prompt: string): TaskRequest {
  return {
    task: "generateText",
    request: {
      messages: [{ role: "user", content: [{ type: "text", text: prompt }] }],
      maxTokens: 10,
      temperature: 0,
      topK: 0,
      topP: 1,
      seed: 0,
    },
  };
}

async function loadedEngine(): Promise<{ engine: Engine; model: FakeModel }> {
  const model = fakeModel();
  const engine = new Engine(model);
  await engine.load({ manifestKey: "small" }, ignore, NEVER);
  return { engine, model };
}

describe("Engine.load", () => {
  test("tells progress and what was loaded", async () => {
    const progress: LoadProgress[] = [];
    const engine = new Engine(fakeModel());
    const info = await engine.load(
      { manifestKey: "small" },
      (event) => void progress.push(event),
      NEVER,
    );
    expect(info).toEqual(fakeInfo());
    expect(progress.map(({ loadedBytes }) => loadedBytes)).toEqual([0, 10]);
  });

  test("rejects with the loader's error", async () => {
    const engine = new Engine(fakeModel());
    const load = engine.load({ manifestKey: "broken" }, ignore, NEVER);
    await expect(load).rejects.toMatchObject({ code: "weights-corrupt", details: { shard: 3 } });
  });

  test("ends with the signal's reason", async () => {
    const controller = new AbortController();
    const load = new Engine(fakeModel()).load({ manifestKey: "slow" }, ignore, controller.signal);
    await nextTurn();
    controller.abort("stop");
    await expect(load).rejects.toBe("stop");
  });

  test("is refused a second time", async () => {
    const { engine } = await loadedEngine();
    await expect(engine.load({ manifestKey: "small" }, ignore, NEVER)).rejects.toThrow("one model");
  });
});

describe("Engine.run", () => {
  test("tells all events, then the result and the new info", async () => {
    const { engine } = await loadedEngine();
    const events: RunEvent[] = [];
    const { result, info } = await engine.run(write("abc"), (event) => events.push(event), NEVER);
    expect(events.map((event) => event.type === "text-delta" && event.text)).toEqual([
      "a",
      "b",
      "c",
    ]);
    expect(result).toMatchObject({ text: "abc", finishReason: "stop" });
    expect(info).toEqual(fakeInfo(1));
  });

  test("does one task after the other, in the order of the calls", async () => {
    const { engine, model } = await loadedEngine();
    await Promise.all(["one", "two"].map((prompt) => engine.run(write(prompt), ignore, NEVER)));
    expect(model.log.slice(1)).toEqual(["begin one", "end one", "begin two", "end two"]);
  });

  test("goes on with the next task after a failure", async () => {
    const { engine } = await loadedEngine();
    const failed = engine.run(write("fail"), ignore, NEVER);
    const next = engine.run(write("ok"), ignore, NEVER);
    await expect(failed).rejects.toMatchObject({ code: "numerics" });
    expect((await next).result).toMatchObject({ text: "ok" });
  });

  test("needs a loaded model", async () => {
    const engine = new Engine(fakeModel());
    await expect(engine.run(write("a"), ignore, NEVER)).rejects.toThrow("load comes before run");
  });
});

describe("Engine.run, aborted", () => {
  test("ends the running task and begins the next", async () => {
    const { engine, model } = await loadedEngine();
    const controller = new AbortController();
    const aborted = engine.run(write("endless text"), ignore, controller.signal);
    const next = engine.run(write("ok"), ignore, NEVER);
    await nextTurn();
    controller.abort("stop");
    await expect(aborted).rejects.toBe("stop");
    expect((await next).result).toMatchObject({ text: "ok" });
    expect(model.log).toContain("abort endless text");
  });

  test("leaves a waiting task undone and the others alone", async () => {
    const { engine, model } = await loadedEngine();
    const controller = new AbortController();
    const first = engine.run(write("first"), ignore, NEVER);
    const waiting = engine.run(write("waiting"), ignore, controller.signal);
    controller.abort("stop");
    await expect(waiting).rejects.toBe("stop");
    expect((await first).result).toMatchObject({ text: "first" });
    expect(model.log).not.toContain("begin waiting");
  });
});

describe("Engine, at its end", () => {
  test("dispose ends what runs, refuses what waits, and frees the model", async () => {
    const { engine, model } = await loadedEngine();
    const running = engine.run(write("a long text"), ignore, NEVER);
    const waiting = engine.run(write("waiting"), ignore, NEVER);
    const outcomes = Promise.allSettled([running, waiting]);
    await nextTurn();
    await engine.dispose();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { name: "AbortError" } });
    }
    expect(model.log.slice(1)).toEqual(["begin a long text", "abort a long text", "dispose"]);
  });

  test("a lost device ends a task that waits for it, and every later one", async () => {
    const { engine, model } = await loadedEngine();
    const running = engine.run(write("stuck"), ignore, NEVER);
    await nextTurn();
    model.lose("driver reset");
    const lost = { code: "device-lost", details: { reason: "driver reset" } };
    await expect(running).rejects.toMatchObject(lost);
    await expect(engine.run(write("next"), ignore, NEVER)).rejects.toMatchObject(lost);
    expect(model.log).not.toContain("begin next");
  });
});
