// The goldens of Janus from disk, for Node.
import type { JanusGoldens } from "../contract/janus-stages.ts";
import { readGoldens } from "./read-goldens.ts";

/** Checkpoints, and whose goldens they must meet: one is stored in two layouts. */
export const JANUS_CHECKPOINTS = { a: "a", b: "b", "a-transformers": "a" } as const;

/** Folder of a golden checkpoint's files. */
export function janusCheckpoint(name: keyof typeof JANUS_CHECKPOINTS): URL {
  return new URL(`../golden/janus/${name}/checkpoint/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readJanusGoldens(name: keyof typeof JANUS_CHECKPOINTS): JanusGoldens {
  const folder = new URL(`../golden/janus/${JANUS_CHECKPOINTS[name]}/`, import.meta.url);
  return readGoldens(folder, new URL("../../janus-flow/", folder));
}
