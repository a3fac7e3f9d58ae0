import { afterEach, describe, expect, test } from "vitest";
import type { GenerateTextOptions } from "../../../src/base/options.ts";
import { loadModel } from "../../../src/client/load-model.ts";
import type { Model } from "../../../src/client/model.ts";
import { Engine } from "../../../src/engine/engine.ts";
import { Loader } from "../../../src/engine/loader.ts";
import { fakeLoader } from "../../support/fake-loader.ts";
import { fakeModel, nextTurn } from "../../support/fake-model.ts";
import type { FakeModel } from "../../support/fake-model.ts";
import { fakeWorker } from "../../support/fake-worker.ts";
import type { FakeWorker } from "../../support/fake-worker.ts";

const workers: FakeWorker[] = [];
afterEach(() => workers.splice(0).forEach((worker) => worker.terminate()));

interface Loaded {
  readonly model: Model;
  readonly fake: FakeModel;
  readonly worker: FakeWorker;
}

async function load(): Promise<Loaded> {
  const fake = fakeModel();
  const worker = fakeWorker(new Engine(fake));
  const loader = fakeWorker(new Loader(fakeLoader()));
  workers.push(worker, loader);
  const model = await loadModel("a/b", {
    workers: { engine: () => worker, loader: () => loader },
  });
  return { model, fake, worker };
}

function ask(text: string, signal?: AbortSignal): GenerateTextOptions {
  const messages = [{ role: "user", content: text }] as const;
  return signal ? { messages, signal } : { messages };
}

describe("Model", () => {
  test("writes: events on the way, then the result", async () => {
    const { model } = await load();
    const run = model.generateText(ask("abc"));
    let written = "";
    for await (const event of run) written += event.text;
    expect(written).toBe("abc");
    expect(await run).toMatchObject({ text: "abc", finishReason: "stop" });
  });

  test("shows the info of the last run", async () => {
    const { model } = await load();
    expect(model.info.traffic.readbacks).toBe(0);
    await model.generateText(ask("a"));
    expect(model.info.traffic.readbacks).toBe(1);
  });

  test("answers two runs at once, one after the other", async () => {
    const { model, fake } = await load();
    const runs = [model.generateText(ask("one")), model.generateText(ask("two"))];
    const results = await Promise.all(runs);
    expect(results.map(({ text }) => text)).toEqual(["one", "two"]);
    expect(fake.log.slice(1)).toEqual(["begin one", "end one", "begin two", "end two"]);
  });

  test("throws caller mistakes at once", async () => {
    const { model } = await load();
    expect(() => model.generateText({ messages: [] })).toThrow(TypeError);
    expect(() => model.generateText({ ...ask("a"), temperature: -1 })).toThrow(RangeError);
    expect(() => model.generateImage({ prompt: "a", steps: 0 })).toThrow(RangeError);
  });

  test("throws at once for what its family cannot do", async () => {
    const { model } = await load();
    const edit = { prompt: "a", images: [new Blob()] };
    expect(() => model.editImage(edit)).toThrow(/fake model has no editImage/);
    expect(() => model.converse(ask("a"))).toThrow(TypeError);
  });

  test("rejects a run with the engine's error; the next run works", async () => {
    const { model } = await load();
    await expect(model.generateText(ask("fail"))).rejects.toMatchObject({
      code: "numerics",
      details: { step: 1 },
    });
    expect((await model.generateText(ask("ok"))).text).toBe("ok");
  });
});

describe("Model, aborted runs", () => {
  test("reject at once with the signal's own reason, and the next run works", async () => {
    const { model, fake } = await load();
    const controller = new AbortController();
    const run = model.generateText(ask("a long text", controller.signal));
    const reason = { why: "changed my mind" };
    const loop = (async () => {
      for await (const { tokens } of run) if (tokens === 2) controller.abort(reason);
    })();
    await expect(loop).rejects.toBe(reason);
    await expect(run).rejects.toBe(reason);
    expect((await model.generateText(ask("ok"))).text).toBe("ok");
    expect(fake.log).toContain("abort a long text");
  });

  test("reject also while they wait for another run", async () => {
    const { model, fake } = await load();
    const first = model.generateText(ask("first"));
    const run = model.generateText(ask("waiting", AbortSignal.timeout(0)));
    await expect(run).rejects.toMatchObject({ name: "TimeoutError" });
    expect((await first).text).toBe("first");
    expect(fake.log).not.toContain("begin waiting");
  });

  test("reject when the signal was aborted before", async () => {
    const { model } = await load();
    await expect(model.generateText(ask("a", AbortSignal.abort("early")))).rejects.toBe("early");
  });
});

describe("Model.dispose", () => {
  test("frees the model, ends the worker, and may be called again", async () => {
    const { model, fake, worker } = await load();
    await Promise.all([model.dispose(), model.dispose()]);
    await model[Symbol.asyncDispose]();
    expect(fake.log).toContain("dispose");
    expect(worker.isTerminated).toBe(true);
  });

  test("rejects the run that is under way and those that wait", async () => {
    const { model } = await load();
    const runs = [model.generateText(ask("first")), model.generateText(ask("second"))];
    const outcomes = Promise.allSettled(runs);
    await nextTurn();
    await model.dispose();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { name: "AbortError" } });
    }
  });

  test("makes every later call throw", async () => {
    const { model } = await load();
    await model.dispose();
    expect(() => model.generateText(ask("a"))).toThrow(/The model is disposed/);
  });

  test("ends a worker that does not answer", async () => {
    const { model, worker } = await load();
    worker.hang();
    const run = model.generateText(ask("a"));
    const outcome = expect(run).rejects.toMatchObject({ name: "AbortError" });
    await nextTurn();
    await model.dispose();
    await outcome;
    expect(worker.isTerminated).toBe(true);
  });
});
