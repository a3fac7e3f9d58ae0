// What stored weights cost JanusFlow: contract/quantized.ts judges and prints.
import {
  compareAnswer,
  compareLatents,
  compareVelocity,
} from "../../../contract/janus-flow-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { goldenFolder, readJanusFlowGoldens } from "../../../support/janus-flow-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

judgeQuantized({
  checkpoints: ["a", "b"],
  folder: (name) => new URL("checkpoint/", goldenFolder(name)),
  goldens: readJanusFlowGoldens,
  open: openModel,
  floors: {
    f32: { logits: 1e-4, velocity: 1e-4, latents: 1e-4 },
    f16: { logits: 0.99999, velocity: 0.99999, latents: 0.9999 },
    q8: { logits: 0.9995, velocity: 0.9995, latents: 0.9995 },
    q4: { logits: 0.9, velocity: 0.95, latents: 0.97 },
  },
  stages: [
    {
      title: "logits of an answer about a picture",
      row: "logits",
      floor: "logits",
      compare: async ({ stages }, goldens) => [
        (await compareAnswer(stages, goldens, "oneImage")).logits,
      ],
    },
    {
      title: "velocity",
      row: "velocity",
      floor: "velocity",
      compare: ({ stages }, goldens) => compareVelocity(stages, goldens),
    },
    {
      title: "latents after ten steps",
      row: "latents, 10 steps",
      floor: "latents",
      compare: async ({ stages }, goldens) => [
        await compareLatents(stages, goldens, { steps: 10, guidance: 2 }),
      ],
    },
  ],
});
