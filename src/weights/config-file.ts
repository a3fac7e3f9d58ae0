// The file that says what a repository holds: config.json, or diffusers' model_index.json where every part of
// a pipeline has a folder and a config.json of its own.
import { readSideFiles } from "./checkpoint.ts";
import type { CheckpointSource, ReadOptions } from "./source.ts";

const CONFIG = "config.json";
const PIPELINE = "model_index.json";

/**
 * Reads config.json, or model_index.json where there is none.
 *
 * @throws ModelError checkpoint-invalid when there is neither; download errors
 */
export async function readConfigFile(
  source: CheckpointSource,
  options: ReadOptions = {},
): Promise<{ readonly name: string; readonly text: string }> {
  for (const name of [CONFIG, PIPELINE]) {
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
