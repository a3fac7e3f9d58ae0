// The goldens of Chameleon from disk, for Node.
import type { ChameleonGoldens } from "../contract/chameleon-stages.ts";
import { readGoldens } from "./read-goldens.ts";

/** Folder of a golden checkpoint. */
export function chameleonFolder(name: "anole" | "chameleon"): URL {
  return new URL(`../golden/chameleon/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readChameleonGoldens(name: "anole" | "chameleon"): ChameleonGoldens {
  const folder = chameleonFolder(name);
  return readGoldens(folder, new URL("../", folder));
}
