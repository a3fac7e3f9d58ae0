// The goldens of Chameleon from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { ChameleonGoldens } from "../contract/chameleon-stages.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Folder of a golden checkpoint. */
export function chameleonFolder(name: "anole" | "chameleon"): URL {
  return new URL(`../golden/chameleon/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readChameleonGoldens(name: "anole" | "chameleon"): ChameleonGoldens {
  const folder = chameleonFolder(name);
  const json: ChameleonGoldens["json"] & { photos: string[] } = JSON.parse(
    readFileSync(new URL("goldens.json", folder), "utf8"),
  );
  return {
    json,
    tensors: parseGoldens(readFileSync(new URL("goldens.safetensors", folder))),
    photos: json.photos.map((photo) => {
      const { width, height, data } = PNG.sync.read(readFileSync(new URL(`../${photo}`, folder)));
      return { width, height, data: new Uint8ClampedArray(data) };
    }),
  };
}
