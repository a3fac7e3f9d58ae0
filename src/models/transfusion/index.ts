// Transfusion: one transformer that predicts the next token of text and the velocity of pictures, in the
// layout of transfusion-pytorch, the open implementation.
// Paper: https://arxiv.org/abs/2408.11039  Code: https://github.com/lucidrains/transfusion-pytorch
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { isTransfusionConfig, parseTransfusionConfig, type TransfusionConfig } from "./config.ts";
import { createTransfusionStages, transfusionGraphs } from "./stages.ts";
import { transfusionWork } from "./work.ts";

/** The family's entry in the registry. */
export const transfusion: Family<TransfusionConfig> = {
  id: "transfusion",
  capabilities: () => ({
    generateText: true,
    generateImage: true,
    editImage: true,
    converse: true,
  }),
  sideFiles: [
    { name: "config.json", isRequired: true },
    { name: "tokenizer.json", isRequired: true },
    { name: "tokenizer_config.json", isRequired: false },
  ],
  companions: {
    vae: {
      // the autoencoder whose scale the library's examples have
      repository: "stabilityai/sd-vae-ft-mse",
      sideFiles: [{ name: "config.json", isRequired: true }],
    },
  },
  matches: isTransfusionConfig,
  parse: parseTransfusionConfig,
  declareWeights: weightsOf(transfusionGraphs),
  stageGraphs: transfusionGraphs,
  stageWork: transfusionWork,
  createStages: createTransfusionStages,
};
