// The right files that fuzzers damage: those of the golden checkpoints, as bytes, texts and parsed.
import { readdirSync, readFileSync } from "node:fs";

import { createFileSource } from "../../src/weights/file-source.ts";
import type { CheckpointSource } from "../../src/weights/source.ts";

const GOLDEN = new URL("../golden/", import.meta.url);

/** A file of the golden data. */
export interface CorpusFile {
  /** Path below test/golden. */
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Files below test/golden whose path matches, smallest first. */
export function corpus(pattern: RegExp, maxBytes = Infinity): CorpusFile[] {
  return readdirSync(GOLDEN, { recursive: true })
    .map(String)
    .filter((path) => pattern.test(path))
    .map((path) => ({ path, bytes: new Uint8Array(readFileSync(new URL(path, GOLDEN))) }))
    .filter(({ bytes }) => bytes.length <= maxBytes)
    .toSorted((a, b) => a.bytes.length - b.bytes.length || (a.path < b.path ? -1 : 1));
}

/** The JSON files beside the weights of every golden checkpoint, by checkpoint and path. */
export function sideFileTexts(): Map<string, Record<string, string>> {
  const checkpoints = new Map<string, Record<string, string>>();
  for (const { path, bytes } of corpus(/checkpoint\/.*\.json$/)) {
    const [, name = "", file = ""] = /^(.*\/checkpoint)\/(.*)$/.exec(path) ?? [];
    if (file.endsWith(".index.json")) continue;
    const files = checkpoints.get(name) ?? {};
    files[file] = new TextDecoder().decode(bytes);
    checkpoints.set(name, files);
  }
  return checkpoints;
}

/** A folder in memory. */
export function sourceOf(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
): CheckpointSource {
  const list = Object.entries(files).map(
    ([path, bytes]) => [path, new File([bytes], path)] as const,
  );
  return createFileSource({ name: "fuzz", files: new Map(list) });
}

/** The item that a seed chooses. */
export function pick<T>(items: readonly T[], seed: number): T {
  const item = items[seed % items.length];
  if (item === undefined) throw new Error("the corpus is empty");
  return item;
}
