// What a model holds beside its weights after an answer and a drawing, against what its plan said before.
import { expect, test } from "vitest";
import type { TaskRequest } from "../../../src/base/requests.ts";
import { importModel } from "../../../src/engine/import-model.ts";
import { manifestModel } from "../../../src/engine/known-model.ts";
import { compileStages } from "../../../src/engine/load-stages.ts";
import { planQuantized } from "../../../src/engine/model-plan.ts";
import { runTask } from "../../../src/engine/run-task.ts";
import { createWasmRuntime } from "../../../src/session/wasm-runtime.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { folderFiles } from "../../support/folder-files.ts";

const SIGNAL = new AbortController().signal;
const QUIET = { onProgress: () => undefined, signal: SIGNAL };
/** Rope tables, whose length a graph does not tell, logits and rules: a tenth of a tiny model's caches, nothing of a real one's. */
const UNTOLD = 0.15;

const SAMPLING = { maxTokens: 512, temperature: 0, topK: 0, topP: 1, seed: 1 };
const ANSWER: TaskRequest = {
  task: "generateText",
  request: {
    messages: [{ role: "user", content: [{ type: "text", text: "what is it" }] }],
    ...SAMPLING,
  },
};

test.each([
  ["janus/a", {}],
  ["janus-flow/a", { steps: 2 }],
  ["pisces/a", { steps: 2 }],
  ["chameleon/anole", {}],
  ["transfusion/a", { steps: 2 }],
])("%s holds what was planned", async (name, asked) => {
  const store = new WeightStore(memoryKeyValue(), "memory");
  const files = folderFiles(new URL(`../../golden/${name}/checkpoint/`, import.meta.url));
  const location = { kind: "files", files } as const;
  const request = { location, quantization: "q8", companions: {} } as const;
  const { manifestKey } = await importModel(request, store, QUIET);
  const manifest = await store.readManifest(manifestKey);
  if (manifest === undefined) throw new Error("an imported model has a manifest");
  const known = await manifestModel(manifest);
  const plan = planQuantized(known, { quantization: "q8", float: "f32" });

  const runtime = await createWasmRuntime();
  const model = await compileStages({ runtime, store, manifest, ...QUIET });
  const drawing = { prompt: "a red square", seed: 1, count: 1, previewEvery: 0, ...asked };
  await finish(runTask(model.stages, ANSWER, SIGNAL));
  await finish(runTask(model.stages, { task: "generateImage", request: drawing }, SIGNAL));

  const held = runtime.memory.tensorBytes - plan.residentBytes;
  const planned = plan.stages.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  expect(Math.abs(held - planned)).toBeLessThan(UNTOLD * planned);
  await model.dispose();
});

async function finish(events: AsyncGenerator): Promise<void> {
  for await (const event of events) void event;
}
