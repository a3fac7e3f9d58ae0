// Side files of a checkpoint between their text, as it is stored, and the JSON that a family reads.
import type { CheckpointFiles } from "../models/family.ts";
import { parseJson } from "../weights/json-file.ts";

/** Parses every file. @throws ModelError checkpoint-invalid naming the file that is not JSON */
export function parseFiles(texts: Readonly<Record<string, string>>): CheckpointFiles {
  return Object.fromEntries(
    Object.entries(texts).map(([path, text]) => [path, parseJson(text, path)]),
  );
}
