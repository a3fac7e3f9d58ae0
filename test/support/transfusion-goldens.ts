// The goldens of Transfusion from disk, for Node.
import { readFileSync } from "node:fs";
import type { TransfusionGoldens } from "../contract/transfusion-stages.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Folder of a golden checkpoint. */
export function transfusionFolder(name: "a" | "b"): URL {
  return new URL(`../golden/transfusion/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readTransfusionGoldens(name: "a" | "b"): TransfusionGoldens {
  const folder = transfusionFolder(name);
  return {
    json: JSON.parse(readFileSync(new URL("goldens.json", folder), "utf8")),
    tensors: parseGoldens(readFileSync(new URL("goldens.safetensors", folder))),
  };
}
