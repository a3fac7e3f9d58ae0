// Decides whether a regular expression of a tokenizer.json may be compiled. A repository is untrusted, and a
// pattern that backtracks would hang the worker. Allowed is one shape, whose cost can be counted: alternatives
// of characters, of which each ends in at most one unbounded repeat with nothing behind it that may fail. At
// a place of the text a match then takes a bounded number of steps, or consumes what it reads; so a text
// costs time linear in its length. Richer patterns run only if they are known: see published-patterns.ts.
//
// What is checked must be what is compiled: @huggingface/tokenizers rewrites Oniguruma's syntax to that of
// JavaScript. Everything that it does not copy (possessive signs, case-insensitive groups, anchors, nested
// classes) is refused here, but for escapes and classes of one character, which it turns into others.

/** Longest pattern; DeepSeek's class of all cased letters has 500 characters. */
const MAX_PATTERN_CHARACTERS = 1024;

/** Groups inside groups; Chameleon's pattern has two. */
const MAX_DEPTH = 4;

/** Steps at one place of the text, every combination of choices counted; CLIP's pattern has 57. */
const MAX_STEPS = 64;

/** A class or property weighs more than a letter: `\p{L}` are 650 ranges. */
const SET_STEPS = 4;

/**
 * Classes and properties in a row; `\p{N}{1,3}` are three. V8 compiles all ways through them, where a character
 * may be a pair: seven `[^\p{L}\p{N}\s\p{P}]` take 0.9 s, eight 7 s (Node 20), without any text.
 */
const MAX_SETS = 4;

/** One character, repeated. */
interface Atom {
  readonly kind: "atom";
  readonly isSet: boolean;
  readonly min: number;
  /** Infinity for `x+`, `x*` and `x{2,}`. */
  readonly max: number;
}

interface Group {
  readonly kind: "group";
  readonly alternatives: readonly (readonly Item[])[];
}

type Item = Atom | Group;

interface Cursor {
  readonly pattern: string;
  at: number;
}

/** A pattern that is not allowed; only its message leaves this file. */
class PatternFault extends Error {}

/**
 * Why a pattern of a tokenizer.json must not be compiled; undefined when it may.
 *
 * The rules are sufficient, not necessary: many harmless patterns are refused too. One that is allowed
 * matches at least one character.
 */
export function patternFault(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_CHARACTERS) {
    return `it has ${pattern.length} characters, more than ${MAX_PATTERN_CHARACTERS}`;
  }
  const cursor: Cursor = { pattern, at: 0 };
  try {
    const alternatives = readAlternatives(cursor, 0);
    if (cursor.at < pattern.length) throw new PatternFault("a closing bracket has no opening one");
    checkCost(alternatives);
  } catch (error) {
    if (error instanceof PatternFault) return error.message;
    throw error;
  }
  return undefined;
}

function checkCost(alternatives: readonly (readonly Item[])[]): void {
  if (alternatives.some((items) => shortest(items) === 0)) {
    throw new PatternFault("it matches the empty string");
  }
  if (Math.max(...alternatives.map(setsOf)) > MAX_SETS) {
    throw new PatternFault(`it has more than ${MAX_SETS} classes in a row`);
  }
  const steps = alternatives.reduce((sum, items) => sum + stepsWithLoop(items), 0);
  if (steps > MAX_STEPS) {
    throw new PatternFault(`it may take more than ${MAX_STEPS} steps at each place of a text`);
  }
}

/** Length of the shortest match. */
function shortest(items: readonly Item[]): number {
  return items.reduce((sum, item) => {
    if (item.kind === "atom") return sum + item.min;
    return sum + Math.min(...item.alternatives.map(shortest));
  }, 0);
}

/** Most classes on a way through the items. */
function setsOf(items: readonly Item[]): number {
  return items.reduce((sum, item) => {
    if (item.kind === "group") return sum + Math.max(...item.alternatives.map(setsOf));
    if (!item.isSet) return sum;
    return sum + (item.max === Infinity ? Math.max(1, item.min) : item.max);
  }, 0);
}

/** Steps before the only loop has matched; from there on every step consumes a character. */
function stepsWithLoop(items: readonly Item[]): number {
  const loop = items.findIndex((item) => item.kind === "atom" && item.max === Infinity);
  if (loop < 0) return stepsOf(items, 0);
  const behind = items.slice(loop + 1);
  if (!behind.every((item) => item.kind === "atom" && item.min === 0)) {
    throw new PatternFault("something that may fail stands behind an unbounded repeat");
  }
  const ends = items.slice(loop).map((item) => ({ ...item, max: Math.max(1, minOf(item)) }));
  return stepsOf(items.slice(0, loop), stepsOf(ends, 0));
}

function minOf(item: Item): number {
  return item.kind === "atom" ? item.min : 0;
}

/** Most steps of items in a row, each way through them followed by `rest` steps. */
function stepsOf(items: readonly Item[], rest: number): number {
  return items.reduceRight((behind, item) => {
    if (item.kind === "group") {
      return item.alternatives.reduce((sum, inner) => sum + 1 + stepsOf(inner, behind), 0);
    }
    if (item.max === Infinity) throw new PatternFault("an unbounded repeat stands in a group");
    return item.max * (item.isSet ? SET_STEPS : 1) + (item.max - item.min + 1) * behind;
  }, rest);
}

/** Reads up to the closing bracket or the end. */
function readAlternatives(cursor: Cursor, depth: number): Item[][] {
  if (depth > MAX_DEPTH) throw new PatternFault(`groups are nested deeper than ${MAX_DEPTH}`);
  const alternatives: Item[][] = [[]];
  while (cursor.at < cursor.pattern.length && cursor.pattern[cursor.at] !== ")") {
    if (cursor.pattern[cursor.at] === "|") {
      cursor.at++;
      alternatives.push([]);
    } else {
      alternatives.at(-1)?.push(readItem(cursor, depth));
    }
  }
  return alternatives;
}

function readItem(cursor: Cursor, depth: number): Item {
  const isGroup = cursor.pattern[cursor.at] === "(" && lettersLength(cursor) === 0;
  return isGroup ? readGroup(cursor, depth) : readAtom(cursor);
}

function readGroup(cursor: Cursor, depth: number): Group {
  const prefix = cursor.pattern.startsWith("(?:", cursor.at) ? "(?:" : "(";
  cursor.at += prefix.length;
  if (cursor.pattern[cursor.at] === "?") throw new PatternFault("a group of an unknown kind");
  const alternatives = readAlternatives(cursor, depth + 1);
  if (cursor.pattern[cursor.at] !== ")") throw new PatternFault("a bracket is not closed");
  cursor.at++;
  if (isQuantified(cursor)) throw new PatternFault("a group is repeated");
  return { kind: "group", alternatives };
}

function readAtom(cursor: Cursor): Atom {
  const { pattern } = cursor;
  const first = pattern[cursor.at] ?? "";
  if (first === "[") skipClass(cursor);
  else if (first === "(") cursor.at += lettersLength(cursor);
  else if (first === "\\") return readEscape(cursor);
  else if ("*+?{".includes(first)) throw new PatternFault("a quantifier has nothing to repeat");
  else if ("^$}]".includes(first)) throw new PatternFault(`it holds a bare ${first}`);
  else cursor.at += String.fromCodePoint(pattern.codePointAt(cursor.at) ?? 0).length;
  const isSet = "[(.".includes(first);
  return { kind: "atom", isSet, ...readQuantifier(cursor) };
}

/** Length of a group of different single letters, `(A|B|C)`: nothing but a class of them. 0 for other groups. */
function lettersLength({ pattern, at }: Cursor): number {
  const found = /^\((?:\?:)?([A-Za-z\d](?:\|[A-Za-z\d])*)\)/.exec(pattern.slice(at));
  const letters = found?.[1]?.split("|") ?? [];
  return new Set(letters).size === letters.length ? (found?.[0].length ?? 0) : 0;
}

/** Past a class without classes inside of it. */
function skipClass(cursor: Cursor): void {
  const found = /^\[(?:\^|(?!\^))(?!\])(?:[^[\]\\&]|&(?!&)|\\[^])+\]/.exec(
    cursor.pattern.slice(cursor.at),
  );
  if (found === null) throw new PatternFault("a character class is not closed, empty or nested");
  cursor.at += found[0].length;
}

/** Sets, controls, characters by number and punctuation; no anchors, no references. */
function readEscape(cursor: Cursor): Atom {
  const rest = cursor.pattern.slice(cursor.at);
  const set = /^\\(?:[pP]\{[\w=^]+\}|[sSdDwW])/.exec(rest);
  const one =
    /^\\(?:u\{[\dA-Fa-f]{1,6}\}|u[\dA-Fa-f]{4}|x[\dA-Fa-f]{2}|[nrtfv]|[^\w\s\u0080-\uffff])/.exec(
      rest,
    );
  const found = set ?? one;
  if (found === null) throw new PatternFault("an anchor, a back reference or an unknown escape");
  cursor.at += found[0].length;
  return { kind: "atom", isSet: set !== null, ...readQuantifier(cursor) };
}

function isQuantified({ pattern, at }: Cursor): boolean {
  return "*+?{".includes(pattern[at] ?? " ");
}

/** The quantifier at the cursor; exactly once where there is none. */
function readQuantifier(cursor: Cursor): Pick<Atom, "min" | "max"> {
  if (!isQuantified(cursor)) return { min: 1, max: 1 };
  const found = /^(?:[*+?]|\{(\d{1,4})(,?)(\d{0,4})\})/.exec(cursor.pattern.slice(cursor.at));
  if (found === null) throw new PatternFault("a quantifier of an unknown kind");
  cursor.at += found[0].length;
  // a second sign makes it lazy, or possessive: x{1,3}+ is compiled as (?:x{1,3})+
  if (isQuantified(cursor)) throw new PatternFault("a quantifier has a second sign");
  const [sign, low = "", comma = "", high = ""] = found;
  if (sign === "*") return { min: 0, max: Infinity };
  if (sign === "+") return { min: 1, max: Infinity };
  if (sign === "?") return { min: 0, max: 1 };
  const min = Number(low);
  const most = high === "" ? Infinity : Number(high);
  const max = comma === "" ? min : most;
  if (max < min) throw new PatternFault("a quantifier ends before it begins");
  return { min, max };
}
