// How a token is drawn, in plain TypeScript: the wasm backend's sampler and the reference that the WGSL
// kernel is tested against. Ties always go to the lower id.
import { uniformOf } from "../gpu/random.ts";

/** How to pick. */
export interface PickOptions {
  /** 0 = the largest logit. */
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  /** 1 = all. */
  readonly topP: number;
  readonly seed: number;
}

/**
 * The id that is picked as number `count` of its sequence.
 *
 * The distribution is softmax(logits / temperature) over the topK largest, cut to the smallest set whose
 * probability reaches topP (at least one id), and drawn by the inverse of its running sum over ids.
 *
 * @param logits - of all ids that may be picked; NaN counts as the smallest
 */
export function pickTokenId(logits: Float32Array, options: PickOptions, count: number): number {
  if (options.temperature === 0) return largest(logits);
  const kept = keepLikely(logits, options);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  const target = uniformOf(options.seed, count) * total;
  let sum = 0;
  let picked = 0;
  for (const { id, weight } of kept.toSorted((a, b) => a.id - b.id)) {
    if (weight === 0) continue;
    picked = id;
    sum += weight;
    if (sum > target) break;
  }
  return picked;
}

/** Ids that may be drawn, most likely first, with their weights (not normalised). */
function keepLikely(logits: Float32Array, options: PickOptions): { id: number; weight: number }[] {
  const { temperature, topK, topP } = options;
  const peak = logits[largest(logits)] ?? 0;
  const ranked = [...logits]
    .map((logit, id) => ({ id, logit: Number.isNaN(logit) ? Number.NEGATIVE_INFINITY : logit }))
    .toSorted((a, b) => b.logit - a.logit || a.id - b.id)
    .slice(0, topK === 0 ? logits.length : topK)
    .map(({ id, logit }) => ({ id, weight: Math.exp((logit - peak) / temperature) }));
  if (topP >= 1) return ranked;
  const goal = topP * ranked.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  const last = ranked.findIndex(({ weight }) => (sum += weight) >= goal);
  return ranked.slice(0, last + 1);
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) {
    const [value, bestValue] = [logits[id] ?? Number.NaN, logits[best] ?? Number.NaN];
    if (value > bestValue || (Number.isNaN(bestValue) && !Number.isNaN(value))) best = id;
  }
  return best;
}
