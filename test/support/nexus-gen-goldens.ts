// The goldens of Nexus-Gen from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { NexusGenGoldens } from "../contract/nexus-gen-case.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Names of the golden checkpoints. */
export type NexusGenCheckpoint = "v1" | "v2";

/** Folder of a golden checkpoint. */
export function nexusGenFolder(name: NexusGenCheckpoint): URL {
  return new URL(`../golden/nexus-gen/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readNexusGenGoldens(name: NexusGenCheckpoint): NexusGenGoldens {
  const folder = nexusGenFolder(name);
  const json: NexusGenGoldens["json"] & { photos: string[] } = JSON.parse(
    readFileSync(new URL("goldens.json", folder), "utf8"),
  );
  return {
    json,
    tensors: parseGoldens(readFileSync(new URL("goldens.safetensors", folder))),
    photos: json.photos.map((photo) => {
      const file = new URL(`../../janus-flow/${photo}`, folder);
      const { width, height, data } = PNG.sync.read(readFileSync(file));
      return { width, height, data: new Uint8ClampedArray(data) };
    }),
  };
}
