// How much memory the results of a graph's nodes take while it runs, told from their shapes alone. What an
// implementation adds (a transposed copy for a convolution, scores of an attention) is not in the graph.
import { bytesPerElement } from "../base/dtype.ts";
import type { Node } from "./encode.ts";
import type { Value } from "./graph.ts";

/** Sizes of what a graph's nodes make. Dimensions that are named count as 1. */
export interface ResultSizes {
  /** The largest result: one buffer, bound whole. */
  readonly largestBytes: number;
  /** Most bytes of results at a time, each freed behind its last reader. */
  readonly peakBytes: number;
}

/** What a graph is made of, before its outputs are renamed. */
export interface ResultParts {
  readonly nodes: readonly Node[];
  /** What each node makes, by name. */
  readonly made: ReadonlyMap<string, Value>;
  /** Results that stay to the end. */
  readonly outputs: ReadonlySet<string>;
  /** Results that are written into memory which the caller holds: caches. */
  readonly held: ReadonlySet<string>;
}

/** Operations whose result is their first input under another shape. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Squeeze", "Unsqueeze", "Identity"]);

/** Bytes of a value; dimensions that are named count as 1. */
export function valueBytes({ dtype, shape }: Pick<Value, "dtype" | "shape">): number {
  const counts = shape.map((size) => (typeof size === "number" ? size : 1));
  return counts.reduce((product, size) => product * size, bytesPerElement(dtype));
}

/** Sizes of all results of a graph whose nodes are in the order of their running. */
export function sizeResults({ nodes, made, outputs, held }: ResultParts): ResultSizes {
  const owner = ownersOf(nodes);
  const ownerOf = (name: string): string => owner.get(name) ?? name;
  const bytes = new Map<string, number>();
  for (const [name, value] of made) {
    if (!owner.has(name) && !held.has(name)) bytes.set(name, valueBytes(value));
  }
  const lastUse = new Map<string, number>();
  nodes.forEach((node, at) => {
    for (const name of [...node.inputs, ...node.outputs]) lastUse.set(ownerOf(name), at);
  });
  for (const name of outputs) lastUse.set(ownerOf(name), nodes.length);
  let alive = 0;
  let peakBytes = 0;
  nodes.forEach((node, at) => {
    for (const name of node.outputs) alive += bytes.get(name) ?? 0;
    peakBytes = Math.max(peakBytes, alive);
    for (const name of new Set([...node.inputs, ...node.outputs].map(ownerOf))) {
      if (lastUse.get(name) === at) alive -= bytes.get(name) ?? 0;
    }
  });
  return { largestBytes: Math.max(0, ...bytes.values()), peakBytes };
}

/** Whose memory a view is, however many views deep. */
function ownersOf(nodes: readonly Node[]): Map<string, string> {
  const owner = new Map<string, string>();
  for (const { type, inputs, outputs } of nodes) {
    const [source = ""] = inputs;
    if (VIEWS.has(type)) for (const name of outputs) owner.set(name, owner.get(source) ?? source);
  }
  return owner;
}
