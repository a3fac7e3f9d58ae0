// The file that says what a repository holds: config.json, diffusers' model_index.json where every part of a
// pipeline has a folder and a config.json of its own, or the params.json of Meta's folders.
import { readSideFiles } from "./checkpoint.ts";
import type { CheckpointSource, ReadOptions } from "./source.ts";

const CONFIG = "config.json";
const PIPELINE = "model_index.json";
const META = "models/7b/params.json";

/**
 * Reads config.json, or the first of the others that is there.
 *
 * @throws ModelError checkpoint-invalid when there is none; download errors
 */
export async function readConfigFile(
  source: CheckpointSource,
  options: ReadOptions = {},
): Promise<{ readonly name: string; readonly text: string }> {
  for (const name of [CONFIG, PIPELINE, META]) {
    const { [name]: text } = await readSideFiles(source, [{ name, isRequired: false }], options);
    if (text !== undefined) return { name, text };
  }
  // says why config.json cannot be read
  const { [CONFIG]: text = "" } = await readSideFiles(
    source,
    [{ name: CONFIG, isRequired: true }],
    options,
  );
  return { name: CONFIG, text };
}
