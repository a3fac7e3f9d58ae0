// What every family tells about its stages: the weights that they bind, what is resident, which loops replay.
import type { WeightDeclaration } from "../base/weight-declaration.ts";
import type { Graph } from "../graph/graph.ts";
import type { LoopSession } from "../session/loop-session.ts";
import type { Residency } from "../session/residency.ts";
import type { StagesInfo } from "./family.ts";

/** Every weight that any of these graphs binds, once each. */
export function distinctWeights(graphs: readonly Graph[]): WeightDeclaration[] {
  const all = graphs.flatMap(({ weights }) => weights);
  return [...new Map(all.map((weight) => [weight.key, weight])).values()];
}

/** Loops by name; undefined while a loop is not compiled. */
export type Loops = Readonly<Record<string, Pick<LoopSession, "isCaptured" | "note"> | undefined>>;

/** The facts of a model's stages and of the loops that are compiled. */
export function describeStages(residency: Residency, loops: Loops): StagesInfo {
  const known = Object.entries(loops).flatMap(([name, loop]) => (loop ? [{ name, loop }] : []));
  return {
    stages: residency.info(),
    captured: Object.fromEntries(known.map(({ name, loop }) => [name, loop.isCaptured])),
    notes: known.flatMap(({ loop }) => (loop.note === undefined ? [] : [loop.note])),
  };
}
