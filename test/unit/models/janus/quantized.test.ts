// What stored weights cost Janus: contract/quantized.ts judges and prints.
import { compareAnswer } from "../../../contract/janus-flow-stages.ts";
import { compareFixedPicture, compareGuided, compareRows } from "../../../contract/janus-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { janusCheckpoint, readJanusGoldens } from "../../../support/janus-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

judgeQuantized({
  checkpoints: ["a", "b"],
  folder: janusCheckpoint,
  goldens: readJanusGoldens,
  open: openModel,
  floors: {
    f32: { words: 1e-4, codes: 1e-4, guided: 1e-4, pixels: 0.02 },
    f16: { words: 0.99999, codes: 0.99999, guided: 0.99999, pixels: 0.9999 },
    q8: { words: 0.999, codes: 0.999, guided: 0.99, pixels: 0.9999 },
    q4: { words: 0.85, codes: 0.85, guided: 0.5, pixels: 0.9999 },
  },
  stages: [
    {
      title: "logits of an answer about a picture",
      row: "words",
      floor: "words",
      compare: async ({ stages }, goldens) => [
        (await compareAnswer(stages, goldens, "oneImage")).logits,
      ],
    },
    {
      title: "logits of codes",
      row: "codes",
      floor: "codes",
      compare: ({ stages }, goldens) => compareRows(stages, goldens),
    },
    {
      title: "guided logits of codes",
      row: "codes, guidance 5",
      floor: "guided",
      compare: async ({ stages }, goldens) => [await compareGuided(stages, goldens)],
    },
    {
      title: "pixels of given codes",
      row: "pixels",
      floor: "pixels",
      compare: async ({ stages }, goldens) => [await compareFixedPicture(stages, goldens)],
    },
  ],
});
