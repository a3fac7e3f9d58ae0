// What a make.py wrote for a checkpoint, from disk, for Node.
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { Pixels } from "../../src/base/pixels.ts";
import { parseGoldens, type GoldenTensors } from "./safetensors-file.ts";

/** What a make.py wrote: numbers, tensors, and photos where it read any. */
export interface Goldens<Json> {
  readonly json: Json;
  readonly tensors: GoldenTensors;
  readonly photos: readonly Pixels[];
}

/**
 * Goldens of a checkpoint.
 *
 * @param photos - what the names of photos are relative to
 */
export function readGoldens<Json>(folder: URL, photos: URL): Goldens<Json> {
  const json = JSON.parse(readFileSync(new URL("goldens.json", folder), "utf8")) as Json & {
    photos?: string[];
  };
  return {
    json,
    tensors: parseGoldens(readFileSync(new URL("goldens.safetensors", folder))),
    photos: (json.photos ?? []).map((photo) => {
      const { width, height, data } = PNG.sync.read(readFileSync(new URL(photo, photos)));
      return { width, height, data: new Uint8ClampedArray(data) };
    }),
  };
}
