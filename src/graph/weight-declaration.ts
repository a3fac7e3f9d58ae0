// A weight, declared where a graph uses it. The declaration itself is vocabulary that the importer shares
// with the graphs, so it lives in base/.
export type {
  Storage,
  StoredPart,
  WeightDeclaration,
  WeightUse,
} from "../base/weight-declaration.ts";
export { storageOf, storedParts } from "../base/weight-declaration.ts";
