// The client over real workers whose model is a fake: what crosses, and what is left behind.
import { describe, expect, test } from "vitest";
import type { LoadProgress } from "../../../src/base/events.ts";
import type { DrawEvent } from "../../../src/client/outputs.ts";
import { checkDevice } from "../../../src/client/check-device.ts";
import { loadModel } from "../../../src/client/load-model.ts";
import type { LoadOptions } from "../../../src/client/load-options.ts";

const workers = {
  engine: () =>
    new Worker(new URL("./workers/fake-engine.ts", import.meta.url), { type: "module" }),
  loader: () =>
    new Worker(new URL("./workers/fake-loader.ts", import.meta.url), { type: "module" }),
};

function load(options: LoadOptions = {}): ReturnType<typeof loadModel> {
  return loadModel("a/b", { workers, ...options });
}

describe("loadModel over real workers", () => {
  test("tells progress in order and gives a model that writes", async () => {
    const seen: LoadProgress[] = [];
    await using model = await load({ onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ phase }) => phase)).toEqual(["download", "read", "read", "ready"]);
    const run = model.generateText({ messages: [{ role: "user", content: "hello" }] });
    let written = "";
    for await (const { text } of run) written += text;
    expect(written).toBe("hello");
    expect((await run).usage.completionTokens).toBe(5);
    expect(model.info.traffic.readbacks).toBe(1);
  });

  test("draws: a preview and a picture on the way, a file with its origin at the end", async () => {
    await using model = await load();
    const latents = new Float32Array([5, 6]);
    const run = model.generateImage({ prompt: "grey", seed: 3, steps: 2, latents });
    const events: DrawEvent[] = [];
    for await (const event of run) events.push(event);
    expect(events.map(({ type }) => type)).toEqual(["step", "preview", "image"]);
    const { images, seed, latents: final, latentShape } = await run;
    expect({ seed, latentShape }).toEqual({ seed: 3, latentShape: [1, 2, 1, 1] });
    expect([...final]).toEqual([5, 6]);
    expect([...latents]).toEqual([5, 6]);
    const [image] = images;
    expect([...(image?.imageData.data ?? [])]).toEqual([128, 128, 128, 255]);
    expect(image?.origin).toMatchObject({ prompt: "grey", seed: 3, model: "a/b@main (c0ffee)" });
    const file = await image?.toBlob();
    expect(file?.type).toBe("image/png");
    expect(await file?.text()).toContain("grey");
    const bitmap = await image?.toBitmap();
    expect(bitmap?.width).toBe(1);
  });

  test("looks at pictures that a page holds", async () => {
    await using model = await load();
    const image = new ImageData(2, 3);
    const content = [
      { type: "text", text: "what is it" },
      { type: "image", image },
    ] as const;
    const { text } = await model.generateText({ messages: [{ role: "user", content }] });
    expect(text).toBe("what is it");
    expect(image.data.length).toBe(24);
  });

  test("rejects a picture that is none, and goes on", async () => {
    await using model = await load();
    const image = new Blob(["no picture"], { type: "image/png" });
    const content = [{ type: "image", image }] as const;
    const run = model.generateText({ messages: [{ role: "user", content }] });
    await expect(run).rejects.toThrow();
    const { text } = await model.generateText({ messages: [{ role: "user", content: "ok" }] });
    expect(text).toBe("ok");
  });

  test("lends the page's fetch", async () => {
    let asked = "";
    const fetch = async (url: string): Promise<Response> => {
      asked = url;
      return new Response("{}");
    };
    await using model = await load({ fetch });
    expect(model.family).toBe("fake");
    expect(asked).toBe("https://hub.example/config.json");
  });

  test("aborts a run with the caller's own reason, then runs again", async () => {
    await using model = await load();
    const controller = new AbortController();
    const reason = new Error("mine");
    const run = model.generateText({
      messages: [{ role: "user", content: "a text that is cut" }],
      signal: controller.signal,
    });
    const loop = (async () => {
      for await (const { tokens } of run) if (tokens === 3) controller.abort(reason);
    })();
    await expect(loop).rejects.toBe(reason);
    const { text } = await model.generateText({ messages: [{ role: "user", content: "ok" }] });
    expect(text).toBe("ok");
  });

  test("disposes in the middle of a run", async () => {
    const model = await load();
    const run = model.generateText({ messages: [{ role: "user", content: "stuck" }] });
    const outcome = expect(run).rejects.toMatchObject({ name: "AbortError" });
    await model.dispose();
    await outcome;
  });
});

describe("checkDevice in a browser", () => {
  test("agrees with the browser", async () => {
    const report = await checkDevice();
    const adapter = await navigator.gpu.requestAdapter();
    expect(report.webgpu).toBe(adapter !== null);
    expect(report.wasm).toBe(true);
    expect(report.maxBufferBytes).toBe(adapter?.limits.maxBufferSize ?? 0);
  });
});
