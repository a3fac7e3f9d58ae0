// The goldens of Janus from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { JanusGoldens } from "../contract/janus-stages.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Checkpoints, and whose goldens they must meet: one is stored in two layouts. */
export const JANUS_CHECKPOINTS = { a: "a", b: "b", "a-transformers": "a" } as const;

/** Folder of a golden checkpoint's files. */
export function janusCheckpoint(name: keyof typeof JANUS_CHECKPOINTS): URL {
  return new URL(`../golden/janus/${name}/checkpoint/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readJanusGoldens(name: keyof typeof JANUS_CHECKPOINTS): JanusGoldens {
  const folder = new URL(`../golden/janus/${JANUS_CHECKPOINTS[name]}/`, import.meta.url);
  const json: JanusGoldens["json"] & { photos: string[] } = JSON.parse(
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
