// The goldens of Nexus-Gen from disk, for Node.
import type { NexusGenGoldens } from "../contract/nexus-gen-case.ts";
import { readGoldens } from "./read-goldens.ts";

/** Names of the golden checkpoints. */
export type NexusGenCheckpoint = "v1" | "v2";

/** Folder of a golden checkpoint. */
export function nexusGenFolder(name: NexusGenCheckpoint): URL {
  return new URL(`../golden/nexus-gen/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readNexusGenGoldens(name: NexusGenCheckpoint): NexusGenGoldens {
  const folder = nexusGenFolder(name);
  return readGoldens(folder, new URL("../../janus-flow/", folder));
}
