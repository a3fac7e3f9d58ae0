// Nexus-Gen: a Qwen2.5-VL whose core imagines a picture as a grid of embeddings, and FLUX, which paints it.
// Paper: https://arxiv.org/abs/2504.21356  Code: https://github.com/modelscope/Nexus-Gen/tree/fb49ff5
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { CONSTANTS, isNexusGenConfig, parseNexusGenConfig, type NexusGenConfig } from "./config.ts";
import { createNexusGenStages, nexusGenGraphs } from "./stages.ts";
import { nexusGenWork } from "./work.ts";

/** The family's entry in the registry. */
export const nexusGen: Family<NexusGenConfig> = {
  id: "nexus-gen",
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
    { name: "preprocessor_config.json", isRequired: false },
    { name: "generation_config.json", isRequired: false },
  ],
  weightFiles: [
    { file: "generation_decoder.bin", prefix: "generation_decoder/", isRequired: false },
    { file: "edit_decoder.bin", prefix: "edit_decoder/", isRequired: false },
    { file: "decoder_81_512.bin", prefix: "decoder_81_512/", isRequired: false },
    { file: "constants.safetensors", prefix: CONSTANTS, isRequired: false },
  ],
  companions: {
    vae: {
      repository: "black-forest-labs/FLUX.1-dev",
      sideFiles: [],
      weightFiles: [{ file: "ae.safetensors", prefix: "", isRequired: true }],
    },
  },
  matches: isNexusGenConfig,
  parse: parseNexusGenConfig,
  declareWeights: weightsOf(nexusGenGraphs),
  stageGraphs: nexusGenGraphs,
  stageWork: nexusGenWork,
  createStages: createNexusGenStages,
};
