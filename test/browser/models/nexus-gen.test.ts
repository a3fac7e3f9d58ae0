// Nexus-Gen on WebGPU, checkpoint to pixels, beside the authors' code.
import { expect, test } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runNexusGenParity } from "../../contract/nexus-gen-parity.ts";
import type { NexusGenGoldens } from "../../contract/nexus-gen-case.ts";
import { fetchPhoto } from "../../support/fetch-photo.ts";
import { openNexusGen } from "../../support/open-nexus-gen.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/nexus-gen/", location.href).href;

for (const name of ["v2", "v1"]) {
  const open = async () => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    const place = { kind: "url", url: `${FOLDER}${name}/checkpoint/` } as const;
    return openNexusGen(place, "f32", runtime);
  };
  runNexusGenParity({ checkpoint: `${name} on WebGPU`, goldens: await fetchGoldens(name), open });

  test(`the loops of ${name} are captured and proven`, async () => {
    const model = await open();
    const { width, height, steps } = (await fetchGoldens(name)).json;
    const request = { prompt: "a fox", width, height, steps, guidance: 3, images: [] };
    await model.stages.draw?.prepare({ ...request, seed: 0, count: 1 });
    expect(model.stages.info()).toMatchObject({
      captured: { decode: true, generation: true },
      notes: [],
    });
    await model.dispose();
  }, 180_000);
}

async function fetchGoldens(name: string): Promise<NexusGenGoldens> {
  const response = await fetch(`${FOLDER}${name}/goldens.json`);
  const json: NexusGenGoldens["json"] & { photos: string[] } = await response.json();
  const tensors = await fetch(`${FOLDER}${name}/goldens.safetensors`);
  const photos = json.photos.map((photo) => fetchPhoto(`${FOLDER}../janus-flow/${photo}`));
  return {
    json,
    tensors: parseGoldens(new Uint8Array(await tensors.arrayBuffer())),
    photos: await Promise.all(photos),
  };
}
