// Pisces on WebGPU, checkpoint to pixels, beside transformers and diffusers.
import { expect, test } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { drawImages } from "../../../src/tasks/draw-images.ts";
import { runPiscesParity } from "../../contract/pisces-parity.ts";
import type { PiscesGoldens } from "../../contract/pisces-stages.ts";
import { fetchPhoto } from "../../support/fetch-photo.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/pisces/", location.href).href;

for (const name of ["a", "b"]) {
  const open = async () => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    const location = { kind: "url", url: `${FOLDER}${name}/checkpoint/` } as const;
    return openModel(location, "f32", runtime);
  };
  runPiscesParity({ checkpoint: `${name} on WebGPU`, goldens: await fetchGoldens(name), open });
  if (name === "a") continue;

  test("all three loops are captured and proven, and the flow never leaves the GPU", async () => {
    const model = await open();
    const captured = { decode: true, imagine: true, flow: true };
    expect(model.info()).toMatchObject({ captured, notes: [] });
    const { stages } = model;
    const request = {
      prompt: "a red fox",
      seed: 1,
      count: 1,
      steps: 8,
      previewEvery: 0,
      images: [],
    };
    const task = drawImages(stages, request);
    // The first evaluation records the loop.
    for (let step = 1; step <= 2; step++) await task.next();
    const first = { ...stages.runtime.counters };
    for (let step = 3; step < 8; step++) await task.next();
    const last = { ...stages.runtime.counters };
    expect({
      readbacks: last.readbacks - first.readbacks,
      uploads: last.uploads - first.uploads,
      drains: last.drains - first.drains,
    }).toEqual({ readbacks: 0, uploads: 0, drains: 0 });
    await task.return(undefined as never);
    await model.dispose();
  }, 240_000);
}

async function fetchGoldens(name: string): Promise<PiscesGoldens> {
  const response = await fetch(`${FOLDER}${name}/goldens.json`);
  const json = (await response.json()) as PiscesGoldens["json"] & { photos: string[] };
  const bytes = await (await fetch(`${FOLDER}${name}/goldens.safetensors`)).arrayBuffer();
  const photos = await Promise.all(json.photos.map((photo) => fetchPhoto(`${FOLDER}${photo}`)));
  return { json, tensors: parseGoldens(new Uint8Array(bytes)), photos };
}
