// The goldens of JanusFlow from disk, for Node.
import type { JanusFlowGoldens } from "../contract/janus-flow-stages.ts";
import { readGoldens } from "./read-goldens.ts";

/** Folder of a golden checkpoint. */
export function goldenFolder(name: "a" | "b"): URL {
  return new URL(`../golden/janus-flow/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readJanusFlowGoldens(name: "a" | "b"): JanusFlowGoldens {
  const folder = goldenFolder(name);
  return readGoldens(folder, new URL("../", folder));
}
