// What stored weights cost Transfusion: contract/quantized.ts judges and prints.
import {
  compareAnswer,
  compareLatents,
  compareVelocity,
} from "../../../contract/transfusion-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { openModel } from "../../../support/open-model.ts";
import { readTransfusionGoldens, transfusionFolder } from "../../../support/transfusion-goldens.ts";

judgeQuantized({
  checkpoints: ["a", "b"],
  folder: (name) => new URL("checkpoint/", transfusionFolder(name)),
  goldens: readTransfusionGoldens,
  open: openModel,
  floors: {
    f32: { logits: 1e-4, velocity: 1e-4, latents: 1e-4 },
    f16: { logits: 0.99999, velocity: 0.99999, latents: 0.99999 },
    q8: { logits: 0.9998, velocity: 0.9998, latents: 0.9998 },
    q4: { logits: 0.97, velocity: 0.98, latents: 0.98 },
  },
  stages: [
    {
      title: "logits behind a picture",
      row: "logits",
      floor: "logits",
      compare: async ({ stages }, goldens) => [
        (await compareAnswer(stages, goldens, "picture")).logits,
      ],
    },
    {
      title: "velocity",
      row: "velocity",
      floor: "velocity",
      compare: ({ stages }, goldens) => compareVelocity(stages, goldens, "draw"),
    },
    {
      title: "latents after four steps",
      row: "latents, 4 steps",
      floor: "latents",
      compare: async ({ stages }, goldens) => [
        await compareLatents(stages, goldens, { name: "draw", steps: 4, guidance: 3 }),
      ],
    },
  ],
});
