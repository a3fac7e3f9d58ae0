// The rules of a session, the same for both backends: what may be bound, what a captured run keeps,
// when it ends. A backend only runs and releases.
import type { Graph } from "../graph/graph.ts";
import { checkPorts } from "./ports.ts";
import type { Ports } from "./ports.ts";
import type { Session, Tensor } from "./runtime.ts";

/** A graph that a backend has compiled. */
export interface CompiledGraph {
  run(feeds: Ports, fetches: Ports): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
  /** True for tensors of `createStableTensor`. */
  isStable(tensor: Tensor): boolean;
}

/** How a session was asked for and what it is. */
export interface CaptureState {
  /** The rules of captured sessions hold. */
  readonly isAsked: boolean;
  /** Runs are replays of a command list. */
  readonly isReplayed: boolean;
}

/** A session over a compiled graph. */
export class GraphSession implements Session {
  readonly name: string;
  readonly isCaptured: boolean;
  readonly #graph: Graph;
  readonly #hasCaptureRules: boolean;
  readonly #compiled: CompiledGraph;
  #firstPorts: ReadonlyMap<string, Tensor> | undefined;
  #released: Promise<void> | undefined;

  constructor(graph: Graph, capture: CaptureState, compiled: CompiledGraph) {
    this.name = graph.name;
    this.isCaptured = capture.isReplayed;
    this.#graph = graph;
    this.#hasCaptureRules = capture.isAsked;
    this.#compiled = compiled;
  }

  async run(feeds: Ports, fetches: Ports = {}): Promise<Record<string, Tensor>> {
    if (this.#released) throw new TypeError(`Graph ${this.name} is disposed.`);
    checkPorts(this.#graph, feeds, fetches);
    if (this.#hasCaptureRules) this.#checkCapture(feeds, fetches);
    return this.#compiled.run(feeds, fetches);
  }

  dispose(): Promise<void> {
    this.#released ??= this.#compiled.release();
    return this.#released;
  }

  // onnxruntime keeps the tensors of the first run and silently ignores others later. It also frees its
  // handle of a foreign output buffer after that run and fails at the next ("Cannot set properties of
  // undefined", 1.30), so outputs must be buffers of its own.
  #checkCapture(feeds: Ports, fetches: Ports): void {
    for (const { name } of this.#graph.outputs) {
      const tensor = fetches[name];
      if (!tensor) throw this.#refusal(`output ${name} must be fetched`);
      if (!this.#compiled.isStable(tensor)) {
        throw this.#refusal(`output ${name} must be a tensor of createStableTensor`);
      }
    }
    const ports = new Map(Object.entries({ ...feeds, ...fetches }));
    this.#firstPorts ??= ports;
    for (const [name, tensor] of ports) {
      if (this.#firstPorts.get(name) !== tensor) {
        throw this.#refusal(`${name} keeps the tensor of the first run; change its contents`);
      }
    }
  }

  #refusal(rule: string): TypeError {
    return new TypeError(`Graph ${this.name} is captured: ${rule}.`);
  }
}
