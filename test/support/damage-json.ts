// Damaged copies of a JSON value for tests of readers: the same seed gives the same damage.

/** Integers below a bound, the same sequence for the same seed. */
export function pseudoRandom(seed: number): (below: number) => number {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const SMALL_NUMBERS: readonly unknown[] = [null, true, -1, -0, 0, 0.5, Number.NaN];
const LARGE_NUMBERS: readonly unknown[] = [65_536, 1e6, 2 ** 31, 2 ** 32, 2 ** 53, 1e308];
const STRANGE_TEXTS = ["", "__proto__", "constructor", "(a+)+$", "a".repeat(5000), "\uD83D", "\0"];
const STRANGE_OBJECTS = [[], {}, [[]], { type: "Sequence" }];
const STRANGE: readonly unknown[] = [
  ...SMALL_NUMBERS,
  ...LARGE_NUMBERS,
  ...STRANGE_TEXTS,
  ...STRANGE_OBJECTS,
  JSON.parse('{"__proto__":{"polluted":true}}'),
];

/** A copy in which one to three places, anywhere, are replaced, removed or doubled. */
export function damageJson(value: unknown, seed: number): unknown {
  const next = pseudoRandom(seed);
  let copy = structuredClone(value);
  for (let places = 1 + next(3); places > 0; places--) copy = damageOnce(copy, next);
  return copy;
}

const MAX_POWER = 26;

/**
 * A copy in which one to three of its numbers are others near powers of two: those that a reader takes, and
 * that ask for more and more.
 */
export function stretchJson(value: unknown, seed: number): unknown {
  const next = pseudoRandom(seed);
  const copy = structuredClone(value);
  const places = numbersIn(copy);
  for (let count = 1 + next(3); count > 0 && places.length > 0; count--) {
    const [inside, key] = places[next(places.length)] ?? [{}, ""];
    inside[key] = Math.max(1, 2 ** next(MAX_POWER) * (1 + 2 * next(2)) - next(2));
  }
  return copy;
}

/** Every place that holds a number. */
function numbersIn(value: unknown): [inside: Record<string, unknown>, key: string][] {
  if (typeof value !== "object" || value === null) return [];
  const inside = value as Record<string, unknown>;
  return Object.entries(inside).flatMap(([key, item]) =>
    typeof item === "number" ? [[inside, key]] : numbersIn(item),
  );
}

/** Goes down at random and changes one thing where it stops. */
function damageOnce(value: unknown, next: (below: number) => number): unknown {
  if (typeof value !== "object" || value === null || next(8) === 0) return strange(next);
  const keys = Object.keys(value);
  const key = keys[next(keys.length)];
  if (key === undefined) return strange(next);
  const inside = value as Record<string, unknown>;
  const way = next(10);
  if (way === 0) delete inside[key];
  else if (way === 1 && Array.isArray(value)) value.push(...value.slice(0, 50));
  else inside[key] = damageOnce(inside[key], next);
  return value;
}

// A copy: the next damage may be inside of it.
function strange(next: (below: number) => number): unknown {
  return structuredClone(STRANGE[next(STRANGE.length)]);
}
