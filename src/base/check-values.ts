// Single values of a caller's options: each is taken out by name and refused with the rule and the value
// seen. TypeError for a wrong kind, RangeError for a wrong amount.

/** Options as they come in: an object of which nothing is known but its keys. */
export type Unchecked = Readonly<Record<string, unknown>>;

/** Longest text of a prompt or of one part of a message: more than the context of any model here holds. */
export const MAX_TEXT_CHARACTERS = 100_000;

/** Characters of a strange value that a message repeats. */
const MAX_SHOWN = 40;

/** Names that are further from each other than this are not taken for misspellings. */
const MAX_MISSPELLING = 3;

/** The largest amount of an integer or number option; both ends are allowed. */
export interface Limits {
  readonly min: number;
  readonly max: number;
}

/**
 * The value as an object that has no keys but these.
 *
 * @param place - what the value is, for the message, as "messages[0]"
 * @throws TypeError for anything else; of an unknown key it names the nearest known one
 */
export function checkKeys(value: unknown, known: readonly string[], place: string): Unchecked {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${place} must be an object, got ${show(value)}.`);
  }
  const stray = Object.keys(value).find((key) => !known.includes(key));
  if (stray === undefined) return value as Unchecked;
  const nearest = nearestName(stray, known);
  const advice = nearest ? `Did you mean ${nearest}?` : `Known are ${known.join(", ")}.`;
  throw new TypeError(`Unknown key ${show(stray)} in ${place}. ${advice}`);
}

/** An integer option, undefined when absent. @throws TypeError or RangeError with the rule and the value */
export function integerOption(
  options: Unchecked,
  name: string,
  { min, max }: Limits,
): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  const rule = `${name} must be an integer from ${min} to ${max}`;
  if (typeof value !== "number") throw new TypeError(`${rule}, got ${show(value)}.`);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${rule}, got ${value}.`);
  }
  return value;
}

/** A finite number option, undefined when absent. @throws TypeError or RangeError with the rule and the value */
export function numberOption(
  options: Unchecked,
  name: string,
  { min, max }: Limits,
): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  const rule = `${name} must be a number from ${min} to ${max}`;
  if (typeof value !== "number") throw new TypeError(`${rule}, got ${show(value)}.`);
  // NaN fails both comparisons
  if (!(value >= min && value <= max)) throw new RangeError(`${rule}, got ${value}.`);
  return value;
}

/** A text of a bounded length. @throws TypeError when it is none, RangeError when it is too long */
export function checkText(value: unknown, place: string): string {
  if (typeof value !== "string")
    throw new TypeError(`${place} must be a string, got ${show(value)}.`);
  if (value.length > MAX_TEXT_CHARACTERS) {
    throw new RangeError(
      `${place} must have at most ${MAX_TEXT_CHARACTERS} characters, got ${value.length}.`,
    );
  }
  return value;
}

/** A list of a bounded length. @throws TypeError when it is none or empty, RangeError when it is too long */
export function checkList(value: unknown, max: number, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError(`${place} must be an array, got ${show(value)}.`);
  if (value.length === 0) throw new TypeError(`${place} must not be empty.`);
  if (value.length > max) {
    throw new RangeError(`${place} must have at most ${max} entries, got ${value.length}.`);
  }
  return value;
}

/** The same object without the keys whose value is undefined. */
export function withoutUndefined<T extends object>(
  values: T,
): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** A value for an error message: short, and never the inside of an object. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}...` : value);
  }
  if (typeof value === "object" && value !== null) {
    return Object.prototype.toString.call(value).slice("[object ".length, -1);
  }
  return typeof value === "function" ? "a function" : String(value);
}

function nearestName(stray: string, known: readonly string[]): string | undefined {
  if (stray.length > MAX_SHOWN) return undefined;
  const distances = known.map((name) => editDistance(stray.toLowerCase(), name.toLowerCase()));
  const least = Math.min(...distances);
  return least <= MAX_MISSPELLING ? known[distances.indexOf(least)] : undefined;
}

/** Insertions, deletions and replacements between two names (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
