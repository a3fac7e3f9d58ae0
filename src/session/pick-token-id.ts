// How a token is drawn, in plain TypeScript: the wasm backend's sampler and the reference that the WGSL
// kernel is tested against. Ties always go to the lower id.
import { uniformOf } from "../gpu/random.ts";
import { FORBIDDEN_TOKEN, SEEN_TOKEN } from "./runtime.ts";

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
  const weights = weigh(logits, options.temperature);
  const kept = keepTopP(keepTopK(idsOf(weights), weights, options.topK), weights, options.topP);
  const goal = uniformOf(options.seed, count) * totalOf(kept, weights);
  let sum = 0;
  let picked = 0;
  for (const id of kept.toSorted((a, b) => a - b)) {
    picked = id;
    sum += weights[id] ?? 0;
    if (sum > goal) break;
  }
  return picked;
}

/** Logits under the rules of `pickToken`: NaN where an id is forbidden, weaker where it was seen. */
export function ruledLogits(
  logits: Float32Array,
  rules: Uint32Array,
  repetitionPenalty: number,
): Float32Array {
  return logits.map((logit, id) => {
    const rule = rules[id] ?? 0;
    if (rule & FORBIDDEN_TOKEN) return Number.NaN;
    if (!(rule & SEEN_TOKEN) || repetitionPenalty === 1) return logit;
    return logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
  });
}

// Probabilities before normalisation; that of NaN is 0.
function weigh(logits: Float32Array, temperature: number): Float64Array {
  const peak = logits[largest(logits)] ?? 0;
  return Float64Array.from(logits, (logit) => Math.exp((logit - peak) / temperature) || 0);
}

function idsOf(weights: Float64Array): number[] {
  const ids: number[] = [];
  for (let id = 0; id < weights.length; id++) if (weights[id] !== 0) ids.push(id);
  return ids;
}

function keepTopK(ids: number[], weights: Float64Array, topK: number): number[] {
  if (topK === 0 || topK >= ids.length) return ids;
  // Sorting plain numbers first is much faster than sorting all ids by their weight.
  const least = weights.toSorted().at(-topK) ?? 0;
  return byLikelihood(ids, weights, least).slice(0, topK);
}

function keepTopP(ids: number[], weights: Float64Array, topP: number): number[] {
  if (topP >= 1) return ids;
  const total = totalOf(ids, weights);
  // All ids below this weight together are less than what topP leaves out.
  const likely = byLikelihood(ids, weights, ((1 - topP) * total) / ids.length);
  let sum = 0;
  const last = likely.findIndex((id) => (sum += weights[id] ?? 0) >= topP * total);
  return last < 0 ? likely : likely.slice(0, last + 1);
}

/** Ids of at least this weight, the heaviest first, the lower id first of equals. */
function byLikelihood(ids: number[], weights: Float64Array, least: number): number[] {
  const weight = (id: number): number => weights[id] ?? 0;
  return ids.filter((id) => weight(id) >= least).toSorted((a, b) => weight(b) - weight(a) || a - b);
}

function totalOf(ids: readonly number[], weights: Float64Array): number {
  return ids.reduce((sum, id) => sum + (weights[id] ?? 0), 0);
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) {
    const [value, bestValue] = [logits[id] ?? Number.NaN, logits[best] ?? Number.NaN];
    if (value > bestValue || (Number.isNaN(bestValue) && !Number.isNaN(value))) best = id;
  }
  return best;
}
