// The goldens of OmniGen from disk, for Node.
import type { OmniGenGoldens } from "../contract/omnigen-stages.ts";
import { readGoldens } from "./read-goldens.ts";

/** Folder of a golden checkpoint. */
export function omniGenFolder(name: "a" | "b"): URL {
  return new URL(`../golden/omnigen/${name}/`, import.meta.url);
}

/** Everything that make.py wrote for a checkpoint. */
export function readOmniGenGoldens(name: "a" | "b"): OmniGenGoldens {
  const folder = omniGenFolder(name);
  return readGoldens(folder, new URL("../", folder));
}
