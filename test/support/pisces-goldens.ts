// The goldens of Pisces from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { PiscesGoldens } from "../contract/pisces-stages.ts";
import { parseGoldens } from "./safetensors-file.ts";

/** Folder of a golden checkpoint. */
export function goldenFolder(name: "a" | "b"): URL {
  return new URL(`../golden/pisces/${name}/`, import.meta.url);
}

/** The checkpoint's side files, parsed. */
export function readPiscesFiles(name: "a" | "b"): Record<string, unknown> {
  const optional =
    name === "a" ? ["scheduler/scheduler_config.json"] : ["preprocessor_config.json"];
  const files = ["config.json", "tokenizer.json", "unet/config.json", "vae/config.json"];
  return Object.fromEntries(
    [...files, ...optional].map((file) => {
      const text = readFileSync(new URL(`checkpoint/${file}`, goldenFolder(name)), "utf8");
      return [file, JSON.parse(text) as unknown];
    }),
  );
}

/** Everything that make.py wrote for a checkpoint. */
export function readPiscesGoldens(name: "a" | "b"): PiscesGoldens {
  const folder = goldenFolder(name);
  const json: PiscesGoldens["json"] & { photos: string[] } = JSON.parse(
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
