// The rule of captured sessions: tensors of the first run stay bound. onnxruntime would silently ignore
// other tensors later, so a change is an error here.
import type { Graph } from "../graph/graph.ts";
import type { Ports } from "./ports.ts";

/** Remembers what the first run bound. */
export class BoundPorts {
  readonly #graph: Graph;
  #first: ReadonlyMap<string, unknown> | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** @throws TypeError when an output is not fetched, or a port has another tensor than in the first run */
  check(feeds: Ports, fetches: Ports): void {
    const { name: graphName, outputs } = this.#graph;
    const ports = new Map(Object.entries({ ...feeds, ...fetches }));
    const unbound = outputs.find(({ name }) => !ports.has(name));
    if (unbound) {
      throw new TypeError(
        `Graph ${graphName} is captured: output ${unbound.name} must be fetched.`,
      );
    }
    this.#first ??= ports;
    for (const [port, tensor] of ports) {
      if (this.#first.get(port) !== tensor) {
        throw new TypeError(
          `Graph ${graphName} is captured: ${port} keeps the tensor of the first run; change its contents.`,
        );
      }
    }
  }
}
