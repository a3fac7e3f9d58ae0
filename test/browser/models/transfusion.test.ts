// Transfusion on WebGPU, checkpoint to pixels, beside transfusion-pytorch.
import { expect, test } from "vitest";
import { createWebGpuRuntime } from "../../../src/session/webgpu-runtime.ts";
import { runTransfusionParity } from "../../contract/transfusion-parity.ts";
import type { TransfusionGoldens } from "../../contract/transfusion-stages.ts";
import { openModel } from "../../support/open-model.ts";
import { parseGoldens } from "../../support/safetensors-file.ts";

const FOLDER = new URL("/test/golden/transfusion/", location.href).href;

for (const name of ["a", "b"]) {
  const open = async (memoryBudgetBytes?: number) => {
    const runtime = await createWebGpuRuntime({ float: "f32" });
    const location = { kind: "url", url: `${FOLDER}${name}/checkpoint/` } as const;
    return openModel(location, "f32", runtime, memoryBudgetBytes);
  };
  const goldens = await fetchGoldens(name);
  runTransfusionParity({ checkpoint: `${name} on WebGPU`, goldens, open });

  test(`${name}: both loops are captured and proven`, async () => {
    const model = await open();
    expect(model.info()).toMatchObject({ captured: { decode: true, flow: true }, notes: [] });
    await model.dispose();
  }, 120_000);
}

async function fetchGoldens(name: string): Promise<TransfusionGoldens> {
  const file = async (path: string): Promise<Response> => fetch(`${FOLDER}${name}/${path}`);
  const bytes = new Uint8Array(await (await file("goldens.safetensors")).arrayBuffer());
  const json = (await (await file("goldens.json")).json()) as TransfusionGoldens["json"];
  return { json, tensors: parseGoldens(bytes) };
}
