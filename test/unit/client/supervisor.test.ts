// What happens to a model whose GPU or worker is lost: over fake workers, at the speed of a fake clock.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fail } from "../../../src/base/errors.ts";
import type { Model } from "../../../src/client/model.ts";
import { fakeModel } from "../../support/fake-model.ts";
import { endPages, load, pass, startClock } from "../../support/supervised-page.ts";
import type { Page } from "../../support/supervised-page.ts";

beforeEach(startClock);
afterEach(endPages);

const LOST = fail("device-lost", "The GPU stopped working.", { reason: "again" });
const GONE = fail("webgpu-unavailable", "There is no adapter.", { reason: "no-adapter" });
const draw = { prompt: "a circle", seed: 3, previewEvery: 1 } as const;
const say = (content: string) => ({ messages: [{ role: "user", content } as const] });

/** Ways to lose an engine while it works. */
const ACCIDENTS: readonly [string, (page: Page) => void][] = [
  ["the device is lost", ({ fakes }) => fakes.at(-1)?.lose("driver reset")],
  ["its worker dies", ({ engines }) => engines.at(-1)?.crash("Aw, snap")],
];

describe.for(ACCIDENTS)("a model, when %s", ([, happens]) => {
  test.each([0, 1, 2, 3])("draws the same picture after %i events, each told once", async (at) => {
    const page = await load({ stopAfter: at });
    const undisturbed = await (await load()).model.generateImage(draw);
    const run = page.model.generateImage(draw);
    const told: string[] = [];
    const listening = (async () => {
      for await (const { type } of run) told.push(type);
    })();
    await pass(10);
    happens(page);
    await pass(2_000);
    const { images, latents } = await run;
    await listening;
    expect(told).toEqual(["step", "preview", "image"]);
    expect(images[0]?.imageData).toEqual(undisturbed.images[0]?.imageData);
    expect(latents).toEqual(undisturbed.latents);
    expect(page.engines.map(({ isTerminated }) => isTerminated)).toEqual([true, false]);
    expect(page.model.info.recoveries).toBe(1);
  });

  test("goes on with a text where it was broken off", async () => {
    const page = await load({ stopAfter: 2 });
    const run = page.model.generateText(say("hello"));
    let written = "";
    const seconds: number[] = [];
    const listening = (async () => {
      for await (const { text, elapsedSeconds } of run) {
        written += text;
        seconds.push(elapsedSeconds);
      }
    })();
    await pass(10);
    expect(written).toBe("he");
    happens(page);
    await pass(2_000);
    await listening;
    expect(written).toBe("hello");
    expect((await run).text).toBe("hello");
    expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
  });

  test("does what waited, in order, and comes back when nobody waits", async () => {
    const page = await load({ stopAfter: 1 });
    const runs = ["one", "two", "three"].map((text) => page.model.generateText(say(text)));
    await pass(10);
    happens(page);
    await pass(2_000);
    expect((await Promise.all(runs)).map(({ text }) => text)).toEqual(["one", "two", "three"]);
    expect(page.fakes[1]?.log.filter((line) => line.startsWith("begin"))).toEqual([
      "begin one",
      "begin two",
      "begin three",
    ]);
    happens(page);
    await pass(2_000);
    expect(page.engines.length).toBe(3);
    expect(page.model.info.recoveries).toBe(2);
  });

  test("tells the listener of its load", async () => {
    const page = await load();
    page.progress.length = 0;
    happens(page);
    await pass(2_000);
    expect(page.progress.map(({ phase }) => phase)).toEqual(["recover", "read", "read", "ready"]);
    expect(page.progress[0]?.file).toMatch(/driver reset|Aw, snap/);
  });

  test("is silent and gone when it was disposed", async () => {
    const page = await load();
    const disposal = page.model.dispose();
    happens(page);
    await pass(30_000);
    await disposal;
    expect(page.engines.map(({ isTerminated }) => isTerminated)).toEqual([true]);
  });
});

describe("a model that comes back", () => {
  test("waits 1 s, 4 s and 15 s, then gives up with what the browser said", async () => {
    const page = await load(
      { stopAfter: 0 },
      ...Array.from({ length: 9 }, () => ({ loadError: GONE })),
    );
    const runs = [page.model.generateText(say("a")), page.model.generateImage(draw)];
    const outcomes = Promise.allSettled(runs.map(async (run) => run));
    await pass(10);
    page.fakes[0]?.lose("crash");
    const lives: number[] = [];
    for (const time of [900, 300, 3_600, 500, 14_500, 600]) {
      await pass(time);
      lives.push(page.engines.length);
    }
    expect(lives).toEqual([1, 2, 2, 3, 3, 4]);
    await pass(60_000);
    const refused = {
      code: "webgpu-unavailable",
      details: { reason: "blocked", attempts: 3 },
    };
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: refused });
    await expect(page.model.generateText(say("b"))).rejects.toMatchObject(refused);
    expect(page.engines.length).toBe(4);
    expect(page.engines.every(({ isTerminated }) => isTerminated)).toBe(true);
    await page.model.dispose();
  });

  test.each([
    ["no adapter", GONE],
    ["code that cannot be loaded", fail("download-failed", "Offline.", { part: "family fake" })],
    ["a store that does not open", fail("storage-unavailable", "No answer.")],
  ])("comes back at the second attempt, after %s", async (_, loadError) => {
    const page = await load({ stopAfter: 1 }, { loadError });
    const run = page.model.generateText(say("later"));
    await pass(10);
    page.fakes[0]?.lose("crash");
    await pass(6_000);
    expect((await run).text).toBe("later");
    expect(page.model.info.recoveries).toBe(1);
  });

  test("stops at once for what waiting does not change", async () => {
    const broken = fail("checkpoint-invalid", "The checkpoint is not one.");
    const page = await load({ stopAfter: 0 }, { loadError: broken });
    const run = page.model.generateText(say("a"));
    const outcome = expect(run).rejects.toMatchObject({ code: "checkpoint-invalid" });
    await pass(10);
    page.fakes[0]?.lose("crash");
    await pass(1_500);
    await outcome;
    expect(page.engines.length).toBe(2);
  });

  test("gives up a run that loses every device", async () => {
    const page = await load(...Array.from({ length: 9 }, () => ({ stopAfter: 1 })));
    const run = page.model.generateText(say("poison"));
    const outcome = expect(run).rejects.toMatchObject({ code: "device-lost" });
    for (const wait of [2_000, 5_000, 16_000, 1_000]) {
      await pass(10);
      page.fakes.at(-1)?.lose("the shader takes too long");
      await pass(wait);
    }
    await outcome;
    expect(page.engines.length).toBe(4);
  });

  test("waits 1 s again after a run that was finished, and after a long life", async () => {
    const page = await load();
    for (let loss = 0; loss < 5; loss++) {
      page.fakes.at(-1)?.lose("sleep");
      await pass(1_500);
      expect(page.engines.length).toBe(loss + 2);
      if (loss % 2 === 0) await pass(70_000);
      else expect((await runWhile(page.model.generateText(say("ok")))).text).toBe("ok");
    }
    expect(page.model.info.recoveries).toBe(5);
  });

  test("can be aborted and disposed while it waits", async () => {
    const page = await load(
      { stopAfter: 1 },
      ...Array.from({ length: 9 }, () => ({ loadError: GONE })),
    );
    const controller = new AbortController();
    const aborted = page.model.generateText({ ...say("a"), signal: controller.signal });
    const waiting = page.model.generateText(say("b"));
    const outcomes = Promise.allSettled([aborted, waiting]);
    await pass(10);
    page.fakes[0]?.lose("crash");
    await pass(2_000);
    controller.abort("enough");
    await pass(10);
    await page.model.dispose();
    expect(await outcomes).toMatchObject([
      { reason: "enough" },
      { reason: { name: "AbortError" } },
    ]);
    await pass(60_000);
    expect(page.engines.length).toBe(2);
    expect(page.engines.every(({ isTerminated }) => isTerminated)).toBe(true);
  });

  test("ends a worker that does not answer, and one whose work does not end", async () => {
    const page = await load({ stopAfter: 1 }, { stopAfter: 1 });
    const run = page.model.generateText(say("hello"));
    await pass(10);
    page.engines[0]?.hang();
    await pass(70_000);
    expect(page.engines.map(({ isTerminated }) => isTerminated)).toEqual([true, false]);
    // This one answers, but its GPU hangs.
    await pass(620_000);
    expect((await run).text).toBe("hello");
    expect(page.engines.map(({ isTerminated }) => isTerminated)).toEqual([true, true, false]);
  });

  test("replaces a worker whose memory ran out, and does not repeat what filled it", async () => {
    const full = fail("out-of-memory", "Full.", { exhausted: true });
    const page = await load();
    const engine = page.engines[0];
    vi.spyOn(page.fakes[0] ?? fakeModel(), "runTask").mockImplementation(async function* () {
      yield { type: "text-delta", text: "a", tokens: 1, elapsedSeconds: 0 };
      throw full;
    });
    const run = page.model.generateText(say("big"));
    const outcome = expect(run).rejects.toMatchObject({ code: "out-of-memory" });
    await pass(2_000);
    await outcome;
    expect(engine?.isTerminated).toBe(true);
    expect((await runWhile(page.model.generateText(say("small")))).text).toBe("small");
  });
});

describe("a run that comes back as another one", () => {
  test.each([
    ["a text", (model: Model) => model.generateText(say("abc"))],
    ["a picture", (model: Model) => model.generateImage(draw)],
  ])("rejects %s and says that it may be asked again", async (_, begin) => {
    const page = await load({ stopAfter: 2 }, { isOther: true });
    const run = begin(page.model);
    const outcome = expect(run).rejects.toMatchObject({
      code: "device-lost",
      details: { retryable: true },
    });
    await pass(10);
    page.fakes[0]?.lose("the laptop was undocked");
    await pass(2_000);
    await outcome;
    expect(page.engines.length).toBe(2);
    await runWhile(page.model.generateText(say("next")));
  });

  test("is taken as it is when nothing of it was told", async () => {
    const page = await load({ stopAfter: 0 }, { isOther: true });
    const run = page.model.generateText(say("abc"));
    await pass(10);
    page.fakes[0]?.lose("the laptop was undocked");
    await pass(2_000);
    expect((await run).text).toBe("abc");
  });
});

describe("a model whose first load loses the device", () => {
  test("is loaded by a later attempt, where the browser gives no device for a moment", async () => {
    const loading = load({ loadError: LOST }, { loadError: GONE });
    await pass(7_000);
    const { model, engines } = await loading;
    expect(engines.length).toBe(3);
    expect(model.info.recoveries).toBe(0);
  });

  test("is loaded by the next attempt", async () => {
    const loading = load({ loadError: LOST });
    await pass(2_000);
    const { model, engines } = await loading;
    expect(engines.map(({ isTerminated }) => isTerminated)).toEqual([true, false]);
    expect(model.info.recoveries).toBe(0);
  });

  test("is refused at once without a device", async () => {
    await expect(load({ loadError: GONE })).rejects.toMatchObject({ code: "webgpu-unavailable" });
  });
});

async function runWhile<T>(run: PromiseLike<T>): Promise<T> {
  await pass(100);
  return run;
}
