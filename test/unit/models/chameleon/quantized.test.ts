// What stored weights cost Chameleon: contract/quantized.ts judges and prints.
import type { Compared } from "../../../contract/compared.ts";
import { compareAnswer, compareGuided } from "../../../contract/chameleon-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { openModel } from "../../../support/open-model.ts";

judgeQuantized({
  checkpoints: ["anole", "chameleon"],
  folder: (name) => new URL("checkpoint/", chameleonFolder(name)),
  goldens: readChameleonGoldens,
  open: openModel,
  floors: {
    f32: { logits: 1e-4, guided: 1e-4 },
    f16: { logits: 0.9999, guided: 0.9999 },
    q8: { logits: 0.999, guided: 0.999 },
    q4: { logits: 0.8, guided: 0.8 },
  },
  stages: [
    {
      title: "logits of answers",
      row: "logits",
      floor: "logits",
      compare: async ({ stages }, goldens) => {
        const compared: Compared[] = [];
        for (const key of ["textOnly", "twoTurns"]) {
          compared.push((await compareAnswer(stages, goldens, key)).logits);
        }
        return compared;
      },
    },
    {
      title: "guided logits along the reference's codes",
      row: "guided",
      floor: "guided",
      only: "anole",
      compare: async ({ stages }, goldens) => [await compareGuided(stages, goldens, "prompt")],
    },
  ],
});
