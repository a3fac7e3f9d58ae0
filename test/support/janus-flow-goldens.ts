// The goldens of JanusFlow from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { JanusFlowGoldens } from "../contract/janus-flow-stages.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Folder of a golden checkpoint. */
export function goldenFolder(name: "a" | "b"): URL {
  return new URL(`../golden/janus-flow/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readJanusFlowGoldens(name: "a" | "b"): JanusFlowGoldens {
  const folder = goldenFolder(name);
  const json: JanusFlowGoldens["json"] & { photos: string[] } = JSON.parse(
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
