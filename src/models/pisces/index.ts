// Pisces: a causal core that sees through SigLIP, writes text, and draws by emitting continuous vectors, which
// an SDXL UNet turns into a picture. No weights are public; the layout is ours (README.md).
// Paper: https://arxiv.org/abs/2506.10395
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { isPiscesConfig, parsePiscesConfig, type PiscesConfig } from "./config.ts";
import { createPiscesStages, piscesGraphs } from "./stages.ts";
import { piscesWork } from "./work.ts";
import { UNET_PREFIX } from "./unet-config.ts";

/** The family's entry in the registry. */
export const pisces: Family<PiscesConfig> = {
  id: "pisces",
  capabilities: () => ({
    generateText: true,
    generateImage: true,
    editImage: false,
    converse: false,
  }),
  sideFiles: [
    { name: "config.json", isRequired: true },
    { name: "tokenizer.json", isRequired: true },
    { name: "tokenizer_config.json", isRequired: false },
    { name: "preprocessor_config.json", isRequired: false },
    { name: "unet/config.json", isRequired: true },
    { name: "scheduler/scheduler_config.json", isRequired: false },
  ],
  companions: {
    vae: {
      repository: "stabilityai/sdxl-vae",
      sideFiles: [{ name: "config.json", isRequired: true }],
    },
  },
  weightFiles: [
    {
      file: "unet/diffusion_pytorch_model.safetensors",
      prefix: UNET_PREFIX,
      isRequired: true,
    },
  ],
  matches: isPiscesConfig,
  parse: parsePiscesConfig,
  declareWeights: weightsOf(piscesGraphs),
  stageGraphs: piscesGraphs,
  stageWork: piscesWork,
  createStages: createPiscesStages,
};
