// The goldens of OmniGen from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { OmniGenGoldens } from "../contract/omnigen-stages.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Folder of a golden checkpoint. */
export function omniGenFolder(name: "a" | "b"): URL {
  return new URL(`../golden/omnigen/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readOmniGenGoldens(name: "a" | "b"): OmniGenGoldens {
  const folder = omniGenFolder(name);
  const json: OmniGenGoldens["json"] & { photos: string[] } = JSON.parse(
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
