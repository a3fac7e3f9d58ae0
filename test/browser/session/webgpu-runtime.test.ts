import { expect, test } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { decode, decoderWeights } from "../../support/decoder-graph.ts";

test("captured and uncaptured decode are equal", { timeout: 120_000 }, async () => {
  const runtime = await createWebGpuRuntime();
  console.log(runtime.device, runtime.float, runtime.maxTensorBytes);
  const weights = decoderWeights(runtime);
  const plain = await decode(runtime, weights, { capture: false, steps: 12 });
  console.log(JSON.stringify([plain.ids, plain.counts]));
  const captured = await decode(runtime, weights, { capture: true, steps: 12 });
  console.log(JSON.stringify([captured.ids, captured.counts]));
  expect(captured.ids).toEqual(plain.ids);
  expect(captured.logits).toEqual(plain.logits);
  expect(captured.key).toEqual(plain.key);
});
