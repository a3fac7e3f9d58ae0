// Janus and Janus-Pro: one core that sees through SigLIP and draws codes of a VQ-GAN.
// Papers: https://arxiv.org/abs/2410.13848 https://arxiv.org/abs/2501.17811
// Code: https://github.com/deepseek-ai/Janus/tree/1daa72f
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { isJanusConfig, parseJanusConfig, type JanusConfig } from "./config.ts";
import { createJanusStages, janusGraphs } from "./stages.ts";
import { janusWork } from "./work.ts";

/** The family's entry in the registry. */
export const janus: Family<JanusConfig> = {
  id: "janus",
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
    { name: "processor_config.json", isRequired: false },
    { name: "generation_config.json", isRequired: false },
  ],
  companions: {},
  matches: isJanusConfig,
  parse: parseJanusConfig,
  declareWeights: weightsOf(janusGraphs),
  stageGraphs: janusGraphs,
  stageWork: janusWork,
  createStages: createJanusStages,
};
