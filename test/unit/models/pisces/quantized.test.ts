// What stored weights cost Pisces: contract/quantized.ts judges and prints.
import {
  compareAnswer,
  compareLatents,
  compareVectors,
  compareVelocity,
} from "../../../contract/pisces-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { openModel } from "../../../support/open-model.ts";
import { goldenFolder, readPiscesGoldens } from "../../../support/pisces-goldens.ts";

judgeQuantized({
  checkpoints: ["a", "b"],
  folder: (name) => new URL("checkpoint/", goldenFolder(name)),
  goldens: readPiscesGoldens,
  open: openModel,
  // A vector's error comes back in with every further one, and the noise inherits it: unet.test.ts has the
  // UNet's own share.
  floors: {
    f32: { logits: 1e-4, vectors: 1e-4, velocity: 1e-4, latents: 1e-4 },
    f16: { logits: 0.99999, vectors: 0.9999, velocity: 0.9999, latents: 0.999 },
    q8: { logits: 0.999, vectors: 0.998, velocity: 0.98, latents: 0.95 },
    q4: { logits: 0.95, vectors: 0.6, velocity: 0.6, latents: 0.75 },
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
      title: "vectors, each made of the one before",
      row: "vectors",
      floor: "vectors",
      compare: ({ stages }, goldens) => compareVectors(stages, goldens),
    },
    {
      title: "predicted noise",
      row: "noise",
      floor: "velocity",
      compare: ({ stages }, goldens) => compareVelocity(stages, goldens),
    },
    {
      title: "latents after ten steps",
      row: "latents, 10 steps",
      floor: "latents",
      compare: async ({ stages }, goldens) => [
        await compareLatents(stages, goldens, { steps: 10 }),
      ],
    },
  ],
});
