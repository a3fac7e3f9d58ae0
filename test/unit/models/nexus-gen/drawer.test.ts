import { afterAll, beforeAll, expect, test } from "vitest";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { editPositions, sigmas } from "../../../../src/models/nexus-gen/decoder.ts";
import { folderFiles } from "../../../support/folder-files.ts";
import { nexusGenFolder, readNexusGenGoldens } from "../../../support/nexus-gen-goldens.ts";
import { openNexusGen, type OpenNexusGen } from "../../../support/open-nexus-gen.ts";

let model: OpenNexusGen;
beforeAll(async () => {
  const files = folderFiles(new URL("checkpoint/", nexusGenFolder("v2")));
  model = await openNexusGen({ kind: "files", files }, "f32", await createWasmRuntime());
}, 120_000);
afterAll(() => model?.dispose());

test.each([
  { width: 44 },
  { height: 0 },
  { steps: 0 },
  { steps: 1.5 },
  { prompt: "fox ".repeat(4200) },
])("what it has no grid, steps or room for is a RangeError (%#)", async (change) => {
  const request = { prompt: "a fox", width: 48, height: 32, steps: 2, guidance: 3, images: [] };
  const drawing = model.stages.draw?.prepare({ ...request, seed: 0, count: 1, ...change });
  await expect(drawing).rejects.toThrow(RangeError);
});

test("draws pictures of any sides that are whole tokens", async () => {
  const request = { prompt: "a fox", width: 16, height: 40, steps: 1, guidance: 1, images: [] };
  const drawing = await model.stages.draw?.prepare({ ...request, seed: 0, count: 1 });
  expect(drawing?.latentShape).toEqual([4, 10, 4]);
});

test("one step goes from noise to nothing", () => {
  expect([...sigmas(1)]).toEqual([1, 0]);
});

test("places an edit's context where the authors' pipeline does", () => {
  const golden = readNexusGenGoldens("v2").tensors.get("edit.contextIds");
  expect(editPositions([4, 8, 12], [3, 6]).flat()).toEqual([...(golden?.values ?? [])]);
});
