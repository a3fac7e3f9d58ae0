// Damaged copies of a JSON value for tests of readers: the same seed gives the same damage.

/** Integers below a bound, the same sequence for the same seed. */
export function pseudoRandom(seed: number): (below: number) => number {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const STRANGE_NUMBERS: readonly unknown[] = [null, true, -1, 0.5, 2 ** 53, Number.NaN, 1e308];
const STRANGE_TEXTS = ["", "__proto__", "constructor", "(a+)+$", "a".repeat(5000), "\uD83D", "\0"];
const STRANGE_OBJECTS = [[], {}, [[]], { type: "Sequence" }];
const STRANGE: readonly unknown[] = [
  ...STRANGE_NUMBERS,
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

/** Goes down at random and changes one thing where it stops. */
function damageOnce(value: unknown, next: (below: number) => number): unknown {
  if (typeof value !== "object" || value === null || next(8) === 0)
    return STRANGE[next(STRANGE.length)];
  const keys = Object.keys(value);
  const key = keys[next(keys.length)];
  if (key === undefined) return STRANGE[next(STRANGE.length)];
  const inside = value as Record<string, unknown>;
  const way = next(10);
  if (way === 0) delete inside[key];
  else if (way === 1 && Array.isArray(value)) value.push(...value.slice(0, 50));
  else inside[key] = damageOnce(inside[key], next);
  return value;
}
