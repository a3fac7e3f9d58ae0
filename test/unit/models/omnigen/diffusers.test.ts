// The same weights in diffusers' repository layout draw the same picture.
import { expect, test } from "vitest";
import { createWasmRuntime } from "../../../../src/session/wasm-runtime.ts";
import { compareRun } from "../../../contract/omnigen-stages.ts";
import { relativeError } from "../../../support/closeness.ts";
import { omniGenOfDiffusers } from "../../../support/omnigen-diffusers.ts";
import { readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

test("a diffusers repository draws what the authors' repository draws", async () => {
  const goldens = readOmniGenGoldens("b");
  const location = { kind: "files", files: omniGenOfDiffusers() } as const;
  const model = await openModel(location, "f32", await createWasmRuntime());
  const run = goldens.json.runs.find(({ case: name }) => name === "two");
  if (run === undefined) throw new Error("goldens have a run with two pictures");
  const { latents } = await compareRun(model.stages, goldens, run);
  expect(relativeError(latents.actual, latents.expected)).toBeLessThan(1e-4);
  await model.dispose();
}, 120_000);
