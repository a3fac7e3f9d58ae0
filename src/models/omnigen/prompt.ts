// OmniGen's prompt: Phi-3's template around the instruction, and pictures where their tags stand.
// https://github.com/VectorSpaceLab/OmniGen/blob/d475201/OmniGen/processor.py#L64-L110
import type { Tokenizer } from "../../tokens/tokenizer.ts";

/** What the core reads, in order: ids, or the tokens of a picture by its index. */
export type PromptPart =
  | { readonly kind: "ids"; readonly ids: readonly number[] }
  | { readonly kind: "picture"; readonly picture: number };

const BEFORE = "<|user|>\nGenerate an image according to the following instructions\n";
const BEHIND = "<|end|>\n<|assistant|>\n<|diffusion|>";
const TAG = /<\|image_(\d+)\|>/;
const BOS = 1;

/** What the unguided row is told when the caller says nothing else. */
export const NEGATIVE_PROMPT =
  "low quality, jpeg artifacts, ugly, duplicate, morbid, mutilated, extra fingers, mutated hands, " +
  "poorly drawn hands, poorly drawn face, mutation, deformed, blurry, dehydrated, bad anatomy, " +
  "bad proportions, extra limbs, cloned face, disfigured, gross proportions, malformed limbs, " +
  "missing arms, missing legs, extra arms, extra legs, fused fingers, too many fingers.";

/** `<img><|image_1|></img> <img><|image_2|></img> ...`: the prompt of pictures alone. */
export function pictureTags(pictures: number): string {
  return Array.from({ length: pictures }, (_, k) => `<img><|image_${k + 1}|></img>`).join(" ");
}

/**
 * The instruction with a tag for every picture: where it has none, the pictures come first, as the authors
 * advise for edits.
 *
 * @throws RangeError when some pictures have a tag and others do not, or a tag has no picture
 */
export function withTags(prompt: string, pictures: number): string {
  const numbers = new Set([...prompt.matchAll(new RegExp(TAG, "g"))].map(([, k]) => Number(k)));
  if (numbers.size === 0) return pictures === 0 ? prompt : `${pictureTags(pictures)} ${prompt}`;
  const isComplete = Array.from({ length: pictures }, (_, k) => k + 1).every((k) => numbers.has(k));
  if (isComplete && numbers.size === pictures) return prompt;
  const named = [...numbers].map((k) => `<|image_${k}|>`).join(", ");
  throw new RangeError(
    `The prompt names ${named} and there are ${pictures} pictures: name each of them, from <|image_1|> on, or none.`,
  );
}

/** Ids and pictures of a row, in order. `prompt` may hold tags; control tokens in it are text. */
export function promptParts(prompt: string, tokenizer: Tokenizer): PromptPart[] {
  // Split at a pattern with a group: text, number, text, number, ..., text.
  const pieces = prompt.split(TAG);
  const parts: PromptPart[] = [];
  for (let at = 0; at < pieces.length; at += 2) {
    const isFirst = at === 0;
    const around = {
      before: isFirst ? BEFORE : "",
      behind: at + 1 >= pieces.length ? BEHIND : "",
      addSpecialTokens: true,
      allowed: MARKERS,
    };
    const ids = tokenizer.encodeInside(pieces[at] ?? "", around);
    parts.push({ kind: "ids", ids: isFirst || ids[0] !== BOS ? ids : ids.slice(1) });
    if (at + 1 < pieces.length)
      parts.push({ kind: "picture", picture: Number(pieces[at + 1]) - 1 });
  }
  return parts;
}

// What stands around a picture's tag is the template's own, whoever typed it.
const MARKERS = ["<img>", "</img>"];
