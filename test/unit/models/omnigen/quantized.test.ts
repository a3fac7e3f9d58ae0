// What stored weights cost OmniGen: contract/quantized.ts judges and prints.
import type { LoadedModel } from "../../../../src/engine/engine.ts";
import type { Compared } from "../../../contract/compared.ts";
import {
  compareRun,
  compareVelocity,
  type OmniGenGoldens,
} from "../../../contract/omnigen-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { omniGenFolder, readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

judgeQuantized({
  checkpoints: ["a", "b"],
  folder: (name) => new URL("checkpoint/", omniGenFolder(name)),
  goldens: readOmniGenGoldens,
  open: openModel,
  floors: {
    f32: { velocity: 1e-4, latents: 1e-4 },
    f16: { velocity: 0.99999, latents: 0.9999 },
    q8: { velocity: 0.9995, latents: 0.9995 },
    q4: { velocity: 0.97, latents: 0.95 },
  },
  stages: [
    {
      title: "velocity",
      row: "velocity",
      floor: "velocity",
      compare: ({ stages }, goldens) => compareVelocity(stages, goldens),
    },
    {
      title: "latents from text, 10 steps",
      row: "latents from text, 10 steps",
      floor: "latents",
      compare: (model, goldens) => latentsOf(model, goldens, { name: "text", steps: 10 }),
    },
    {
      title: "latents from two pictures, 4 steps",
      row: "latents from two pictures, 4 steps",
      floor: "latents",
      compare: (model, goldens) => latentsOf(model, goldens, { name: "two", steps: 4 }),
    },
  ],
});

async function latentsOf(
  { stages }: LoadedModel,
  goldens: OmniGenGoldens,
  { name, steps }: { name: string; steps: number },
): Promise<Compared[]> {
  const run = goldens.json.runs.find((known) => known.case === name && known.steps === steps);
  if (run === undefined) throw new Error("goldens have this run");
  return [(await compareRun(stages, goldens, run)).latents];
}
