// OmniGen on WebGPU, checkpoint to pixels, beside the authors' code.
import { expect, test } from "vitest";
import { present } from "../../../src/base/assert.ts";
import type { Pixels } from "../../../src/base/pixels.ts";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runOmniGenParity } from "../../contract/omnigen-parity.ts";
import type { OmniGenGoldens } from "../../contract/omnigen-stages.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/omnigen/", location.href).href;

for (const name of ["a", "b"]) {
  const open = async () => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    const place = { kind: "url", url: `${FOLDER}${name}/checkpoint/` } as const;
    return openModel(place, "f32", runtime);
  };
  const goldens = await fetchGoldens(name);
  runOmniGenParity({ checkpoint: `${name} on WebGPU`, goldens, open });
  if (name === "b") continue;

  test("the flow loop is captured and proven, with and without guidance", async () => {
    const model = await open();
    try {
      const draw = present(model.stages.draw, "draw stage");
      for (const guidance of [1, 2]) {
        const size = { width: 64, height: 64, steps: 2 };
        const request = { prompt: "a red circle", images: [], seed: 1, count: 1, guidance };
        (await draw.prepare({ ...draw.defaults([]), ...size, ...request })).dispose();
        expect(model.stages.info()).toMatchObject({ captured: { flow: true }, notes: [] });
      }
    } finally {
      await model.dispose();
    }
  });
}

async function fetchGoldens(name: string): Promise<OmniGenGoldens> {
  const bytes = async (path: string): Promise<Uint8Array> =>
    new Uint8Array(await (await fetch(`${FOLDER}${path}`)).arrayBuffer());
  const json = (await (
    await fetch(`${FOLDER}${name}/goldens.json`)
  ).json()) as OmniGenGoldens["json"] & { photos: string[] };
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
