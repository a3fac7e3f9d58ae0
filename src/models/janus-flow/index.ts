// JanusFlow: a causal core that is both a language model and the velocity network of a rectified flow.
// Paper: https://arxiv.org/abs/2411.07975  Code: https://github.com/deepseek-ai/Janus/tree/1daa72f
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { isJanusFlowConfig, parseJanusFlowConfig, type JanusFlowConfig } from "./config.ts";
import { createJanusFlowStages, janusFlowGraphs } from "./stages.ts";
import { janusFlowWork } from "./work.ts";

/** The family's entry in the registry. */
export const janusFlow: Family<JanusFlowConfig> = {
  id: "janus-flow",
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
  ],
  companions: {
    vae: {
      repository: "stabilityai/sdxl-vae",
      sideFiles: [{ name: "config.json", isRequired: true }],
    },
  },
  matches: isJanusFlowConfig,
  parse: parseJanusFlowConfig,
  declareWeights: weightsOf(janusFlowGraphs),
  stageGraphs: janusFlowGraphs,
  stageWork: janusFlowWork,
  createStages: createJanusFlowStages,
};
