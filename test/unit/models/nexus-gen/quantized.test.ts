// What stored weights cost Nexus-Gen: contract/quantized.ts judges and prints.
import {
  compareAnswer,
  compareFeatures,
  compareImagined,
  compareRun,
  compareVelocity,
} from "../../../contract/nexus-gen-stages.ts";
import { judgeQuantized } from "../../../contract/quantized.ts";
import { nexusGenFolder, readNexusGenGoldens } from "../../../support/nexus-gen-goldens.ts";
import { openNexusGen } from "../../../support/open-nexus-gen.ts";

judgeQuantized({
  checkpoints: ["v2", "v1"],
  folder: (name) => new URL("checkpoint/", nexusGenFolder(name)),
  goldens: readNexusGenGoldens,
  open: openNexusGen,
  floors: { q8: { all: 0.999 }, q4: { all: 0.8 } },
  stages: [
    {
      title: "features of a picture",
      row: "features",
      floor: "all",
      compare: async (model, goldens) => [await compareFeatures(model, goldens, 0)],
    },
    {
      title: "logits of an answer about a picture",
      row: "logits",
      floor: "all",
      compare: async (model, goldens) => [(await compareAnswer(model, goldens, "oneImage")).logits],
    },
    {
      title: "embeddings",
      row: "embeddings",
      floor: "all",
      compare: async (model, goldens) => (await compareImagined(model, goldens, "draw")).compared,
    },
    {
      title: "context tokens",
      row: "merged",
      floor: "all",
      compare: async (model, goldens) => (await compareImagined(model, goldens, "edit")).compared,
    },
    {
      title: "velocity",
      row: "velocity",
      floor: "all",
      compare: (model, goldens) => compareVelocity(model, goldens, "draw"),
    },
    {
      title: "latents of a whole run",
      row: "latents",
      floor: "all",
      compare: async (model, goldens) => [(await compareRun(model, goldens, "draw", 3)).latents],
    },
  ],
});
