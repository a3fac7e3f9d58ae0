// Guidance over up to three contexts: everything, its pictures alone, and nothing. Each context takes the same
// codes; their logits are mixed before a code is picked.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L294-L345
import type { ChameleonVocabulary } from "./vocabulary.ts";

/** A context of a drawing, and what its logits count. */
export interface GuidedContext {
  readonly ids: readonly number[];
  readonly weight: number;
}

/** How far a drawing goes after its text, and after its pictures. */
export interface GuidanceScales {
  readonly guidance: number;
  readonly imageGuidance: number;
}

// Sums of weights that should be zero may miss it by rounding.
const NOTHING = 1e-9;

/**
 * Contexts of a drawing behind `full`, whose last id begins the picture.
 *
 * logits = none + imageGuidance (pictures - none) + guidance (full - pictures). Equal contexts are one, and
 * one that counts nothing is left out: without pictures in the prompt two are enough, without guidance one.
 *
 * @param unwanted - text that takes the place of the one that `pictures` and `none` lack; ours, the
 * reference has no negative prompt
 */
export function guidedContexts(
  full: readonly number[],
  vocabulary: ChameleonVocabulary,
  { guidance, imageGuidance }: GuidanceScales,
  unwanted: readonly number[] = [],
): GuidedContext[] {
  const begin = [...unwanted, vocabulary.boi];
  const pictures = [...withoutText(full, vocabulary).slice(0, -1), ...begin];
  const none = [vocabulary.bos, ...begin];
  const all = [
    { ids: full, weight: guidance },
    { ids: pictures, weight: imageGuidance - guidance },
    { ids: none, weight: 1 - imageGuidance },
  ];
  const byIds = new Map<string, GuidedContext>();
  for (const { ids, weight } of all) {
    const key = ids.join();
    byIds.set(key, { ids, weight: weight + (byIds.get(key)?.weight ?? 0) });
  }
  return [...byIds.values()].filter(({ weight }) => Math.abs(weight) > NOTHING);
}

/** The pictures of a context: its begin of sentence, codes, and the marks around them. */
export function withoutText(
  ids: readonly number[],
  { bos, boi, eoi, codeIds }: ChameleonVocabulary,
): number[] {
  const kept = new Set([bos, boi, eoi, ...codeIds]);
  return ids.filter((id) => kept.has(id));
}
