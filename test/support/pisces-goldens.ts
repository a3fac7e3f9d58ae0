// The goldens of Pisces from disk, for Node.
import { readFileSync } from "node:fs";
import type { PiscesGoldens } from "../contract/pisces-stages.ts";
import { readGoldens } from "./read-goldens.ts";

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
  return readGoldens(folder, new URL("../", folder));
}
