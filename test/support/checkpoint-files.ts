// The JSON side files of a checkpoint folder on disk, keyed as a family expects them.
import { existsSync, readFileSync } from "node:fs";

const FILES = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "vae/config.json",
];

/** Every side file that the folder has, parsed. */
export function readCheckpointFiles(folder: URL): Record<string, unknown> {
  const present = FILES.filter((name) => existsSync(new URL(name, folder)));
  return Object.fromEntries(
    present.map((name) => [
      name,
      JSON.parse(readFileSync(new URL(name, folder), "utf8")) as unknown,
    ]),
  );
}
