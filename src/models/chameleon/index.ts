// Chameleon: one causal core over text and the codes of pictures. Anole is Chameleon that draws.
// Papers: https://arxiv.org/abs/2405.09818 https://arxiv.org/abs/2407.06135
// Code: https://github.com/facebookresearch/chameleon/tree/dbbe47f https://github.com/GAIR-NLP/anole/tree/af563fa
import { weightsOf } from "../bind-stages.ts";
import type { Family } from "../family.ts";
import { isChameleonConfig, parseChameleonConfig, type ChameleonConfig } from "./config.ts";
import { META_FILES, withMetaName } from "./meta-layout.ts";
import { chameleonCapabilities, chameleonGraphs, createChameleonStages } from "./stages.ts";
import { chameleonWork } from "./work.ts";

/** The family's entry in the registry. */
export const chameleon: Family<ChameleonConfig> = {
  id: "chameleon",
  capabilities: chameleonCapabilities,
  sideFiles: [
    { name: "config.json", isRequired: true, elsewhere: META_FILES.params },
    { name: "tokenizer.json", isRequired: true, elsewhere: META_FILES.tokenizer },
    { name: "tokenizer_config.json", isRequired: false },
    { name: "generation_config.json", isRequired: false },
  ],
  companions: {},
  weightFiles: [
    { file: META_FILES.core, prefix: "", isRequired: false, isAlternative: true },
    { file: META_FILES.pictures, prefix: "model.vqmodel.", isRequired: false, isAlternative: true },
  ],
  matches: isChameleonConfig,
  parse: parseChameleonConfig,
  declareWeights: weightsOf(chameleonGraphs, withMetaName),
  stageGraphs: chameleonGraphs,
  stageWork: chameleonWork,
  createStages: createChameleonStages,
};
