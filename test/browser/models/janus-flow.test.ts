// JanusFlow on WebGPU, checkpoint to pixels, beside the authors' code.
import { expect, test } from "vitest";
import type { Pixels } from "../../../src/base/pixels.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { drawImages } from "../../../src/tasks/draw-images.ts";
import { runFamilyContract } from "../../contract/family.ts";
import { runJanusFlowParity } from "../../contract/janus-flow-parity.ts";
import type { JanusFlowGoldens } from "../../contract/janus-flow-stages.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/janus-flow/", location.href).href;

for (const name of ["a", "b"]) {
  const open = async (memoryBudgetBytes?: number) => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    const location = { kind: "url", url: `${FOLDER}${name}/checkpoint/` } as const;
    return openModel(location, "f32", runtime, memoryBudgetBytes);
  };
  runJanusFlowParity({ checkpoint: `${name} on WebGPU`, goldens: await fetchGoldens(name), open });
  if (name === "b") continue;
  runFamilyContract({ name: "janus-flow on WebGPU", open });

  test("both loops are captured and proven", async () => {
    const model = await open();
    expect(model.info()).toMatchObject({ captured: { decode: true, flow: true }, notes: [] });
    await model.dispose();
  }, 120_000);

  test("the flow loop never leaves the GPU", async () => {
    const model = await open();
    const { stages } = model;
    const request = {
      prompt: "a red fox",
      seed: 1,
      count: 1,
      steps: 30,
      previewEvery: 0,
      images: [],
    };
    const task = drawImages(stages, request);
    await task.next();
    const first = { ...stages.runtime.counters };
    for (let step = 2; step < 30; step++) await task.next();
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

async function fetchGoldens(name: string): Promise<JanusFlowGoldens> {
  const bytes = async (path: string): Promise<Uint8Array> =>
    new Uint8Array(await (await fetch(`${FOLDER}${path}`)).arrayBuffer());
  const json = (await (
    await fetch(`${FOLDER}${name}/goldens.json`)
  ).json()) as JanusFlowGoldens["json"] & {
    photos: string[];
  };
  const tensors = parseGoldens(await bytes(`${name}/goldens.safetensors`));
  const photos = await Promise.all(json.photos.map((photo) => readPhoto(`${FOLDER}${photo}`)));
  return { json, tensors, photos };
}

async function readPhoto(url: string): Promise<Pixels> {
  const bitmap = await createImageBitmap(await (await fetch(url)).blob());
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  if (context === null) throw new Error("no 2d context");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: new Uint8ClampedArray(data) };
}
