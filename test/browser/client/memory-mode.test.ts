// A page that may not store anything still loads a model, and says why it will have to be loaded again.
import { expect, test } from "vitest";
import { cache, loadModel } from "../../../src/index.ts";

const FOLDER = new URL("/test/golden/janus-flow/a/checkpoint/", location.href);

const workers = {
  engine: () =>
    new Worker(new URL("workers/no-storage-engine.ts", import.meta.url), { type: "module" }),
  loader: () =>
    new Worker(new URL("workers/no-storage-loader.ts", import.meta.url), { type: "module" }),
};

test("a model loads and answers where IndexedDB may not be opened", async () => {
  await using model = await loadModel(FOLDER, { quantization: "f32", backend: "wasm", workers });
  expect(model.info.storage).toMatchObject({
    kind: "memory",
    isPersistent: false,
    note: expect.stringContaining("The operation is insecure."),
  });
  const { text } = await model.generateText({
    messages: [{ role: "user", content: "hi" }],
    maxTokens: 3,
  });
  expect(text).toEqual(expect.any(String));
  await expect(cache.list({ workers })).rejects.toMatchObject({ code: "storage-unavailable" });
});
