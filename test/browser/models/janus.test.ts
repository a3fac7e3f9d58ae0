// Janus on WebGPU, checkpoint to pixels, beside the authors' code.
import { expect, test } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { drawImages } from "../../../src/tasks/draw-images.ts";
import { runFamilyContract } from "../../contract/family.ts";
import { runJanusParity } from "../../contract/janus-parity.ts";
import type { JanusGoldens } from "../../contract/janus-stages.ts";
import { fetchPhoto } from "../../support/fetch-photo.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/janus/", location.href).href;
const PHOTOS = new URL("/test/golden/janus-flow/", location.href).href;
const CODES = 9;

for (const name of ["a", "b"]) {
  const open = async (memoryBudgetBytes?: number) => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    const location = { kind: "url", url: `${FOLDER}${name}/checkpoint/` } as const;
    return openModel(location, "f32", runtime, memoryBudgetBytes);
  };
  runJanusParity({ checkpoint: `${name} on WebGPU`, goldens: await fetchGoldens(name), open });
  if (name === "a") continue;
  runFamilyContract({ name: "janus on WebGPU", open, steps: CODES });

  test("both loops are captured and proven", async () => {
    const model = await open();
    expect(model.info()).toMatchObject({ captured: { decode: true, draw: true }, notes: [] });
    await model.dispose();
  }, 120_000);

  test("the loop of codes never leaves the GPU", async () => {
    const model = await open();
    const { stages } = model;
    const request = { prompt: "a red fox", seed: 1, count: 1, previewEvery: 0, images: [] };
    const task = drawImages(stages, request);
    // The first decode records the loop.
    for (let step = 1; step <= 3; step++) await task.next();
    const first = { ...stages.runtime.counters };
    for (let step = 4; step < CODES; step++) await task.next();
    const last = { ...stages.runtime.counters };
    expect({
      readbacks: last.readbacks - first.readbacks,
      uploads: last.uploads - first.uploads,
      drains: last.drains - first.drains,
    }).toEqual({ readbacks: 0, uploads: 0, drains: 0 });
    await task.return(undefined as never);
    await model.dispose();
  }, 120_000);
}

async function fetchGoldens(name: string): Promise<JanusGoldens> {
  const response = await fetch(`${FOLDER}${name}/goldens.json`);
  const json = (await response.json()) as JanusGoldens["json"] & { photos: string[] };
  const bytes = await (await fetch(`${FOLDER}${name}/goldens.safetensors`)).arrayBuffer();
  const photos = await Promise.all(json.photos.map((photo) => fetchPhoto(`${PHOTOS}${photo}`)));
  return { json, tensors: parseGoldens(new Uint8Array(bytes)), photos };
}
