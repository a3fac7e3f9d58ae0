// OmniGen: a Phi-3 whose prompt holds text and pictures is the velocity network of a rectified flow.
// Paper: https://arxiv.org/abs/2409.11340  Code: https://github.com/VectorSpaceLab/OmniGen/tree/d475201
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { isOmniGenConfig, parseOmniGenConfig, type OmniGenConfig } from "./config.ts";
import { declarationFor } from "./names.ts";
import { createOmniGenStages, omniGenGraphs } from "./stages.ts";
import { omniGenWork } from "./work.ts";

/** The family's entry in the registry. */
export const omniGen: Family<OmniGenConfig> = {
  id: "omnigen",
  capabilities: () => ({
    generateText: false,
    generateImage: true,
    editImage: true,
    converse: false,
  }),
  // In place in the authors' repository, elsewhere in diffusers'.
  sideFiles: [
    { name: "config.json", isRequired: true, elsewhere: "transformer/config.json" },
    { name: "tokenizer.json", isRequired: true, elsewhere: "tokenizer/tokenizer.json" },
    {
      name: "tokenizer_config.json",
      isRequired: false,
      elsewhere: "tokenizer/tokenizer_config.json",
    },
  ],
  weightFiles: [
    {
      file: "transformer/diffusion_pytorch_model.safetensors",
      prefix: "",
      isRequired: false,
    },
  ],
  companions: {
    vae: {
      repository: "stabilityai/sdxl-vae",
      sideFiles: [{ name: "config.json", isRequired: true }],
    },
  },
  matches: isOmniGenConfig,
  parse: parseOmniGenConfig,
  declareWeights: weightsOf(omniGenGraphs, declarationFor),
  stageGraphs: omniGenGraphs,
  stageWork: omniGenWork,
  createStages: createOmniGenStages,
};
