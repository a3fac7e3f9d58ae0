// Chameleon on WebGPU, checkpoint to pixels, beside the reference.
import { expect, test } from "vitest";
import type { Pixels } from "../../../src/base/pixels.ts";
import { decodeImage } from "../../../src/pixels/decode-image.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { drawImages } from "../../../src/tasks/draw-images.ts";
import { runChameleonParity } from "../../contract/chameleon-parity.ts";
import type { ChameleonGoldens } from "../../contract/chameleon-stages.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/chameleon/", location.href).href;

for (const name of ["anole", "chameleon"] as const) {
  const open = async () => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    return openModel({ kind: "url", url: `${FOLDER}${name}/checkpoint/` }, "f32", runtime);
  };
  runChameleonParity({ checkpoint: `${name} on WebGPU`, goldens: await fetchGoldens(name), open });
  if (name === "chameleon") continue;

  test("both loops are captured and proven, and drawing never leaves the GPU", async () => {
    const model = await open();
    const { stages } = model;
    const request = { prompt: "a red fox", seed: 1, count: 1, previewEvery: 0, images: [] };
    const task = drawImages(stages, request);
    await task.next();
    const first = { ...stages.runtime.counters };
    for (let step = 2; step < 16; step++) await task.next();
    const last = { ...stages.runtime.counters };
    expect({
      readbacks: last.readbacks - first.readbacks,
      uploads: last.uploads - first.uploads,
      drains: last.drains - first.drains,
    }).toEqual({ readbacks: 0, uploads: 0, drains: 0 });
    await task.return(undefined as never);
    expect(model.info()).toMatchObject({ captured: { decode: true, draw: true }, notes: [] });
    await model.dispose();
  }, 120_000);
}

// Neighbours of a head are rotated here: another path of the attention kernel.
const meta = await fetchGoldens("anole");
const few = <Case>(cases: Readonly<Record<string, Case>>, name: string): Record<string, Case> =>
  Object.fromEntries(Object.entries(cases).filter(([key]) => key === name));
runChameleonParity({
  checkpoint: "anole in Meta's files on WebGPU",
  goldens: {
    ...meta,
    json: {
      ...meta.json,
      text: few(meta.json.text, "textOnly"),
      draw: few(meta.json.draw ?? {}, "prompt"),
    },
  },
  open: async () => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    return openModel({ kind: "url", url: `${FOLDER}anole/meta/` }, "f32", runtime);
  },
});

async function fetchGoldens(name: string): Promise<ChameleonGoldens> {
  const json = (await (
    await fetch(`${FOLDER}${name}/goldens.json`)
  ).json()) as ChameleonGoldens["json"] & { photos: string[] };
  const bytes = await (await fetch(`${FOLDER}${name}/goldens.safetensors`)).arrayBuffer();
  // Not by a canvas: it would round the colours of what is transparent.
  const readPhoto = async (photo: string): Promise<Pixels> =>
    decodeImage(await (await fetch(`${FOLDER}${photo}`)).blob());
  const photos = await Promise.all(json.photos.map(readPhoto));
  return { json, tensors: parseGoldens(new Uint8Array(bytes)), photos };
}
