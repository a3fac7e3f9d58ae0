// Checks what a caller binds to a graph before onnxruntime sees it: onnxruntime's own message names
// no graph, and a captured session does not check at all. Knows names, dtypes and shapes only.
import type { Dimension, Graph, Value } from "../graph/graph.ts";
import type { Tensor, WeightTensors } from "./runtime.ts";

/** Tensors by port name. */
export type Ports = Readonly<Record<string, Tensor>>;

/**
 * The weights of a graph by input name.
 *
 * @throws TypeError when a part is missing or has another dtype or shape
 */
export function weightPorts(graph: Graph, weights: WeightTensors): Record<string, Tensor> {
  const ports: Record<string, Tensor> = {};
  for (const part of graph.weightParts) {
    const tensor = weights.get(part.name);
    if (!tensor) throw new TypeError(`Graph ${graph.name}: weight ${part.name} is missing.`);
    checkPort(graph, part, tensor, new Map());
    ports[part.name] = tensor;
  }
  return ports;
}

/**
 * Checks that every input has a tensor of its dtype and shape, and that nothing else is bound.
 *
 * @throws TypeError naming the graph, the port and both shapes
 */
export function checkPorts(graph: Graph, feeds: Ports, fetches: Ports): void {
  const sizes = new Map<string, number>();
  for (const input of graph.inputs) {
    const tensor = feeds[input.name];
    if (!tensor) throw new TypeError(`Graph ${graph.name}: input ${input.name} is not fed.`);
    checkPort(graph, input, tensor, sizes);
  }
  for (const [name, tensor] of Object.entries(fetches)) {
    const output = graph.outputs.find((value) => value.name === name);
    if (!output) throw new TypeError(`Graph ${graph.name}: there is no output ${name}.`);
    checkPort(graph, output, tensor, sizes);
  }
  for (const name of Object.keys(feeds)) {
    if (!graph.inputs.some((value) => value.name === name)) {
      throw new TypeError(`Graph ${graph.name}: there is no input ${name}.`);
    }
  }
}

function checkPort(graph: Graph, value: Value, tensor: Tensor, sizes: Map<string, number>): void {
  if (value.dtype === tensor.dtype && fits(value.shape, tensor.shape, sizes)) return;
  throw new TypeError(
    `Graph ${graph.name}: ${value.name} is ${value.dtype} [${value.shape.join(", ")}], got ${tensor.dtype} [${tensor.shape.join(", ")}].`,
  );
}

// A named dimension takes the size of its first use in the run.
function fits(
  expected: readonly Dimension[],
  actual: readonly number[],
  sizes: Map<string, number>,
): boolean {
  if (expected.length !== actual.length) return false;
  return expected.every((dimension, axis) => {
    const size = actual[axis] ?? 0;
    if (typeof dimension === "number") return dimension === size;
    const known = sizes.get(dimension);
    if (known === undefined) sizes.set(dimension, size);
    return known === undefined || known === size;
  });
}
