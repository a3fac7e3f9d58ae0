// Transfusion on WebGPU, checkpoint to pixels, beside transfusion-pytorch.
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runTransfusionParity } from "../../contract/transfusion-parity.ts";
import type { TransfusionGoldens } from "../../contract/transfusion-stages.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/transfusion/", location.href).href;

runTransfusionParity({
  checkpoint: "a on WebGPU",
  goldens: await fetchGoldens("a"),
  open: async () => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    return openModel({ kind: "url", url: `${FOLDER}a/checkpoint/` }, "f32", runtime);
  },
});

async function fetchGoldens(name: string): Promise<TransfusionGoldens> {
  const file = async (path: string): Promise<Response> => fetch(`${FOLDER}${name}/${path}`);
  const bytes = new Uint8Array(await (await file("goldens.safetensors")).arrayBuffer());
  const json = (await (await file("goldens.json")).json()) as TransfusionGoldens["json"];
  return { json, tensors: parseGoldens(bytes) };
}
