// Collects garbage now. For tests of what must survive it.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** A full collection of this process. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}
