// What the embedded models were taught to say about a picture: the captions of demo/models/train/questions.py.
import type { Colour, Shape } from "../score/detector.ts";

/** An object that a caption names. */
export interface NamedObject {
  readonly shape: Shape;
  readonly colour: Colour;
}

const NUMBERS = ["no", "a", "two", "three"] as const;

/** Every right caption: equal objects are one group, groups in any order. */
export function captionsOf(objects: readonly NamedObject[]): string[] {
  const counts = new Map<string, number>();
  for (const { shape, colour } of objects) {
    const name = `${colour} ${shape}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const groups = Array.from(counts, ([name, count]) => `${NUMBERS[count]} ${plural(name, count)}`);
  return orders(groups).map((order) => order.join(" and "));
}

function plural(name: string, count: number): string {
  if (count === 1) return name;
  return name.endsWith("cross") ? `${name}es` : `${name}s`;
}

function orders(items: readonly string[]): string[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first, place) =>
    orders(items.toSpliced(place, 1)).map((rest) => [first, ...rest]),
  );
}

/**
 * A caption with the change of an instruction: "a red star and a blue circle", "make the star green" -> "a green
 * star and a blue circle".
 */
export function recoloured(caption: string, instruction: string): string {
  const [, name = "", colour = ""] = / the (.+) (\w+)$/.exec(instruction) ?? [];
  const [shape = "", old = "\\w+"] = name.split(" ").toReversed();
  return caption.replace(new RegExp(`\\b${old} ${shape}\\b`), `${colour} ${shape}`);
}
