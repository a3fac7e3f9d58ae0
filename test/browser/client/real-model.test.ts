// The public API from a published checkpoint to a picture: real workers, the real store, the golden
// checkpoint, the CPU backend (fast here; webgpu is covered by session/ and e2e).
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cache, loadModel } from "../../../src/index.ts";
import type { LoadOptions, Model } from "../../../src/index.ts";

const FOLDER = new URL("/test/golden/janus-flow/a/checkpoint/", location.href);

let requests = 0;

function load(options: LoadOptions = {}): Promise<Model> {
  const fetch = (url: string, init: RequestInit): Promise<Response> => {
    requests += 1;
    return globalThis.fetch(url, init);
  };
  return loadModel(FOLDER, { quantization: "f32", backend: "wasm", fetch, ...options });
}

/** Flips a byte of one stored shard behind the library's back. */
async function damageStore(): Promise<void> {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const opening = indexedDB.open("web-umm");
    opening.addEventListener("success", () => resolve(opening.result));
    opening.addEventListener("error", () => reject(opening.error));
  });
  await new Promise<void>((resolve, reject) => {
    const transaction = database.transaction("rows", "readwrite");
    const cursors = transaction.objectStore("rows").openCursor(IDBKeyRange.lowerBound("shard:"));
    cursors.addEventListener("success", () => {
      const cursor = cursors.result;
      const blob: unknown = cursor?.value;
      if (cursor && blob instanceof Blob) cursor.update(new Blob([blob.slice(1), "x"]));
    });
    transaction.addEventListener("complete", () => resolve());
    transaction.addEventListener("error", () => reject(transaction.error));
  });
  database.close();
}

describe("a model from a published checkpoint", () => {
  let model: Model;
  beforeAll(async () => {
    await cache.clear();
    model = await load();
  }, 60_000);
  afterAll(() => model.dispose());

  test("says what it is", () => {
    expect(model.family).toBe("janus-flow");
    expect(model.info).toMatchObject({ backend: "wasm", quantization: "f32" });
    expect(model.info.storedBytes).toBeGreaterThan(1_000_000);
  });

  test("writes the same text twice, in deltas that make up the whole", async () => {
    const options = { messages: [{ role: "user", content: "hi" }], maxTokens: 6 } as const;
    const run = model.generateText(options);
    let written = "";
    for await (const { text } of run) written += text;
    const { text, usage } = await run;
    expect(written).toBe(text);
    expect(usage.completionTokens).toBe(6);
    expect((await model.generateText(options)).text).toBe(text);
  });

  test("draws the same picture from the same seed", async () => {
    const options = { prompt: "a red circle", steps: 2, seed: 7 };
    const [first, second] = await Promise.all([
      model.generateImage(options),
      model.generateImage(options),
    ]);
    expect(first.images[0]?.imageData.data).toEqual(second.images[0]?.imageData.data);
    expect(first.latents).toEqual(second.latents);
    expect(first.seed).toBe(7);
  });

  test("looks at a picture that it drew", async () => {
    const { images } = await model.generateImage({ prompt: "a red circle", steps: 1 });
    const content = [
      { type: "image", image: (await images[0]?.toBlob()) ?? "" },
      { type: "text", text: "what is it" },
    ] as const;
    const { usage } = await model.generateText({
      messages: [{ role: "user", content }],
      maxTokens: 2,
    });
    expect(usage.completionTokens).toBeGreaterThan(0);
  });

  test.each([1, 2, 3])("aborts a drawing at step %i and draws rightly afterwards", async (at) => {
    const options = { prompt: "a blue square", steps: 4, seed: 3 };
    const expected = await model.generateImage(options);
    const controller = new AbortController();
    const reason = { at };
    const run = model.generateImage({ ...options, signal: controller.signal });
    const loop = (async () => {
      for await (const event of run) {
        if (event.type === "step" && event.step === at) controller.abort(reason);
      }
    })();
    await expect(loop).rejects.toBe(reason);
    const { latents } = await model.generateImage(options);
    expect(latents).toEqual(expected.latents);
  });

  test("has no editImage and no converse", () => {
    expect(() => model.editImage({ prompt: "a", images: [new Blob()] })).toThrow(TypeError);
  });
});

describe("a model that is disposed in the middle of a run", () => {
  test("rejects the run and ends its worker", async () => {
    const model = await load();
    const run = model.generateImage({ prompt: "a", steps: 1000 });
    const disposed = (async () => {
      for await (const _ of run) void model.dispose();
    })();
    await expect(disposed).rejects.toMatchObject({ name: "AbortError" });
    await model.dispose();
    expect(() => model.generateImage({ prompt: "a" })).toThrow(TypeError);
  });
});

describe("a stored model", () => {
  test("loads without a request, is repaired when damaged, and can be deleted", async () => {
    await (await load()).dispose();
    requests = 0;
    await (await load()).dispose();
    expect(requests).toBe(0);
    await damageStore();
    await (await load()).dispose();
    expect(requests).toBeGreaterThan(0);
    const [entry] = await cache.list();
    expect(entry).toMatchObject({ family: "janus-flow", quantization: "f32" });
    expect(await cache.usage()).toMatchObject({ modelBytes: entry?.storedBytes });
    expect(await cache.delete(entry?.id ?? "")).toBe(true);
    expect(await cache.list()).toEqual([]);
  }, 60_000);
});
