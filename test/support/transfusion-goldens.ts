// The goldens of Transfusion from disk, for Node.
import type { TransfusionGoldens } from "../contract/transfusion-stages.ts";
import { readGoldens } from "./read-goldens.ts";

/** Folder of a golden checkpoint. */
export function transfusionFolder(name: "a" | "b"): URL {
  return new URL(`../golden/transfusion/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readTransfusionGoldens(name: "a" | "b"): TransfusionGoldens {
  const folder = transfusionFolder(name);
  return readGoldens(folder, new URL("../", folder));
}
