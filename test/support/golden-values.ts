// What every family's comparison takes from goldens and from what was drawn.
import type { Message, ContentPart } from "../../src/base/requests.ts";
import type { Pixels } from "../../src/base/pixels.ts";
import type { GoldenTensor, GoldenTensors } from "./safetensors-file.ts";

/** A golden tensor by its name. */
export function golden(
  { tensors }: { readonly tensors: GoldenTensors },
  name: string,
): GoldenTensor {
  return known(tensors.get(name), name);
}

/** Numbers of a golden tensor. */
export function values(
  goldens: { readonly tensors: GoldenTensors },
  name: string,
): GoldenTensor["values"] {
  return golden(goldens, name).values;
}

/** What must be there. */
export function known<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`there is no ${name}`);
  return value;
}

/** RGB bytes of a picture, as goldens have them. */
export function rgbOf(picture: Pixels | undefined): Uint8ClampedArray {
  return known(picture, "picture").data.filter((_, at) => at % 4 !== 3);
}

/** A message's content with a photo, in their order, wherever the tag stands. */
function contentWith(
  content: string,
  tag: string,
  nextPhoto: () => Pixels | undefined,
): ContentPart[] {
  return content
    .split(tag)
    .flatMap((text, index): ContentPart[] => [
      ...(index === 0 ? [] : [{ type: "image" as const, image: known(nextPhoto(), "photo") }]),
      ...(text === "" ? [] : [{ type: "text" as const, text }]),
    ]);
}

/** A golden conversation as messages; tags stand for the photos of these numbers. */
export function messagesWith(
  turns: readonly { readonly role: Message["role"]; readonly content: string }[],
  { tag, photos, all }: { tag: string; photos: readonly number[]; all: readonly Pixels[] },
): Message[] {
  let photo = 0;
  const nextPhoto = (): Pixels | undefined => all[photos[photo++] ?? -1];
  return turns.map(({ role, content }) => ({
    role,
    content: contentWith(content, tag, nextPhoto),
  }));
}

/** The result of a task whose events do not matter. */
export async function finish<Result>(task: AsyncGenerator<unknown, Result>): Promise<Result> {
  let next = await task.next();
  while (!next.done) next = await task.next();
  return next.value;
}
