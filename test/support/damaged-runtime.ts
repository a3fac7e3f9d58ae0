// A runtime whose numbers are damaged on purpose: weights that are not what was stored, and read-backs of a
// device that was lost and says nothing.
import { elementCount } from "../../src/base/shape.ts";
import type { Runtime, Session, Tensor, TensorData } from "../../src/session/runtime.ts";

/** What is wrong with a runtime. */
export interface Damage {
  /** This part of the weights is full of this number wherever a graph binds it. */
  readonly weight?: { readonly part: string; readonly value: number };
  /** Read-backs that give zeros, counted from 0: `first` and so many behind it. */
  readonly zeroReads?: { readonly first: number; readonly count: number };
}

/** A damaged runtime and what was asked of it. */
export interface DamagedRuntime {
  readonly runtime: Runtime;
  /** Parts of the weights by the name of the graph that binds them. */
  readonly parts: Map<string, Set<string>>;
  readonly reads: number;
  /** Damages from now on; weights in graphs that are compiled from now on. */
  damage(damage: Damage): void;
}

/** A runtime over another one, whole until it is damaged. */
export function damageable(whole: Runtime): DamagedRuntime {
  const parts = new Map<string, Set<string>>();
  let damage: Damage = {};
  let reads = 0;
  const changes: Partial<Runtime> = {
    async createSession(graph, weights, options): Promise<Session> {
      const known = parts.get(graph.name) ?? new Set();
      parts.set(graph.name, known);
      for (const { name } of graph.weightParts) known.add(name);
      const { weight } = damage;
      const stored = weight && weights.get(weight.part);
      if (!weight || !stored) return whole.createSession(graph, weights, options);
      const broken = filled(whole, stored, weight.value);
      return whole.createSession(graph, new Map([...weights, [weight.part, broken]]), options);
    },
    async read(tensor): Promise<TensorData> {
      const data = await whole.read(tensor);
      const { first, count } = damage.zeroReads ?? { first: 0, count: 0 };
      const isZero = reads >= first && reads < first + count;
      reads += 1;
      return isZero ? data.fill(0) : data;
    },
  };
  const runtime = new Proxy(whole, {
    get(target, key) {
      const changed: unknown = Reflect.get(changes, key);
      if (changed !== undefined) return changed;
      const own: unknown = Reflect.get(target, key, target);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
  return {
    runtime,
    parts,
    get reads() {
      return reads;
    },
    damage(next) {
      damage = next;
    },
  };
}

/** A tensor like another one, full of one number. */
function filled(runtime: Runtime, { dtype, shape }: Tensor, value: number): Tensor {
  if (dtype !== "f32") throw new Error(`only f32 weights are damaged, not ${dtype}`);
  return runtime.createTensor(dtype, shape, new Float32Array(elementCount(shape)).fill(value));
}
