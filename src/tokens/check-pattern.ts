// Decides whether a regular expression of a tokenizer.json may be compiled. A repository is untrusted: a
// pattern that backtracks exponentially would hang the worker. Allowed is the shape that tokenizers really
// use: alternatives of character classes in a row, of which at most one repeats freely before something
// that may fail. A match then costs time linear in the text per place, and there is no way to nest.

/** Longest pattern; DeepSeek's class of all cased letters has 500 characters. */
const MAX_PATTERN_CHARACTERS = 4096;

/** Groups inside groups; real patterns have one. */
const MAX_DEPTH = 4;

/** Bounded choices (`x?`, `x{1,3}`, `(a|b)`) in a row that may be tried in all combinations. */
const MAX_CHOICES = 4;

/** Largest max - min of `x{min,max}`; `\p{N}{1,3}` is the one that occurs. */
const MAX_REPEAT_RANGE = 3;

/** What an alternative may try again before it fails. */
interface Effort {
  /** Unbounded repeats before the last thing that may fail. */
  readonly loops: number;
  /** Bounded choices before the last thing that may fail. */
  readonly choices: number;
}

/** One item of an alternative: an atom or group and its quantifier. */
interface Item extends Effort {
  readonly mayFail: boolean;
  /** `x+` and `x*`: whether it can match at all is known at its first character. */
  readonly isLoop: boolean;
}

interface Quantifier {
  readonly min: number;
  readonly max: number;
}

interface Cursor {
  readonly pattern: string;
  at: number;
}

/** A pattern that is not allowed; only its message leaves this file. */
class PatternFault extends Error {}

/**
 * Why a pattern of a tokenizer.json must not be compiled; undefined when it may.
 *
 * The rules are sufficient, not necessary: some harmless patterns are refused too.
 */
export function patternFault(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_CHARACTERS) {
    return `it has ${pattern.length} characters, more than ${MAX_PATTERN_CHARACTERS}`;
  }
  const cursor: Cursor = { pattern, at: 0 };
  try {
    readAlternatives(cursor, 0);
    if (cursor.at < pattern.length) throw new PatternFault("a closing bracket has no opening one");
  } catch (error) {
    if (error instanceof PatternFault) return error.message;
    throw error;
  }
  return undefined;
}

/** Reads up to the closing bracket or the end; the effort is that of the worst alternative. */
function readAlternatives(cursor: Cursor, depth: number): Effort & { readonly count: number } {
  if (depth > MAX_DEPTH) throw new PatternFault(`groups are nested deeper than ${MAX_DEPTH}`);
  let count = 0;
  let [loops, choices] = [0, 0];
  do {
    if (count > 0) cursor.at++; // the bar
    const effort = effortOf(readItems(cursor, depth));
    loops = Math.max(loops, effort.loops);
    choices = Math.max(choices, effort.choices);
    count++;
  } while (cursor.pattern[cursor.at] === "|");
  return { loops, choices, count };
}

function readItems(cursor: Cursor, depth: number): Item[] {
  const items: Item[] = [];
  while (cursor.at < cursor.pattern.length && !"|)".includes(cursor.pattern[cursor.at] ?? "")) {
    const isGroup = cursor.pattern[cursor.at] === "(" && lettersLength(cursor) === 0;
    items.push(isGroup ? readGroup(cursor, depth) : readAtom(cursor));
  }
  return items;
}

/** What is tried again before the last item that may fail; refuses too much of it. */
function effortOf(items: readonly Item[]): Effort {
  const end = items.findLastIndex((item) => item.mayFail);
  const before = items.slice(0, end + 1);
  // a last x+ that may fail does so at once: it is not tried again for its own sake
  const own = items[end]?.isLoop === true ? 1 : 0;
  const loops = before.reduce((sum, item) => sum + item.loops, 0) - own;
  const choices = before.reduce((sum, item) => sum + item.choices, 0);
  if (loops > 1) throw new PatternFault("two unbounded repeats precede something that may fail");
  if (choices > MAX_CHOICES) throw new PatternFault(`more than ${MAX_CHOICES} choices in a row`);
  // inside a group, everything that repeats counts: something that may fail can follow the group
  return { loops: items.reduce((sum, item) => sum + item.loops, 0), choices };
}

function readGroup(cursor: Cursor, depth: number): Item {
  const prefix = /^\((?:\?(?:[:=!>]|i:|<[=!])?)?/.exec(cursor.pattern.slice(cursor.at))?.[0] ?? "";
  if (prefix === "(?") throw new PatternFault("a group of an unknown kind");
  if (prefix.startsWith("(?<")) throw new PatternFault("it looks behind");
  cursor.at += prefix.length;
  const inside = readAlternatives(cursor, depth + 1);
  if (cursor.pattern[cursor.at] !== ")") throw new PatternFault("a bracket is not closed");
  cursor.at++;
  const { min, max } = readQuantifier(cursor);
  if (max > 1) throw new PatternFault("a group is repeated");
  const isLookahead = prefix === "(?=" || prefix === "(?!";
  if (isLookahead && inside.loops > 0) throw new PatternFault("a lookahead repeats without bound");
  return {
    loops: inside.loops,
    choices: inside.choices + (inside.count > 1 || min < max ? 1 : 0),
    // after a loop inside, the rest of the group may fail
    mayFail: min > 0 || inside.loops > 0,
    isLoop: false,
  };
}

function readAtom(cursor: Cursor): Item {
  const { pattern } = cursor;
  const first = pattern[cursor.at];
  if (first === "[") skipClass(cursor);
  else if (first === "(") cursor.at += lettersLength(cursor);
  else if (first === "\\") skipEscape(cursor);
  else if ("*+?{".includes(first ?? ""))
    throw new PatternFault("a quantifier has nothing to repeat");
  else cursor.at += String.fromCodePoint(pattern.codePointAt(cursor.at) ?? 0).length;
  const { min, max } = readQuantifier(cursor);
  const isUnbounded = max === Number.POSITIVE_INFINITY;
  if (!isUnbounded && max - min > MAX_REPEAT_RANGE) {
    throw new PatternFault(`a repeat has a range of more than ${MAX_REPEAT_RANGE}`);
  }
  return {
    loops: isUnbounded ? 1 : 0,
    choices: !isUnbounded && min < max ? 1 : 0,
    mayFail: min > 0,
    isLoop: isUnbounded,
  };
}

/** Length of a group of different single letters, `(A|B|C)`: nothing but a class of them. 0 for other groups. */
function lettersLength({ pattern, at }: Cursor): number {
  const found = /^\((?:\?:)?([A-Za-z\d](?:\|[A-Za-z\d])*)\)/.exec(pattern.slice(at));
  const letters = found?.[1]?.split("|") ?? [];
  return new Set(letters).size === letters.length ? (found?.[0].length ?? 0) : 0;
}

/** Past a class, with classes inside of it. */
function skipClass(cursor: Cursor): void {
  let depth = 0;
  for (; cursor.at < cursor.pattern.length; cursor.at++) {
    const character = cursor.pattern[cursor.at];
    if (character === "\\") cursor.at++;
    else if (character === "[") depth++;
    else if (character === "]") depth--;
    if (depth === 0) {
      cursor.at++;
      return;
    }
    if (depth > MAX_DEPTH) throw new PatternFault(`classes are nested deeper than ${MAX_DEPTH}`);
  }
  throw new PatternFault("a character class is not closed");
}

function skipEscape(cursor: Cursor): void {
  const rest = cursor.pattern.slice(cursor.at);
  const escape = /^\\(?:[pPxu]\{[^}]*\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[^1-9kgK])/u.exec(rest);
  if (escape === null) throw new PatternFault("a back reference or an unknown escape");
  cursor.at += escape[0].length;
}

/** The quantifier at the cursor; exactly once where there is none. Lazy and possessive signs are skipped. */
function readQuantifier(cursor: Cursor): Quantifier {
  const rest = cursor.pattern.slice(cursor.at, cursor.at + 16);
  const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})[+?]?/.exec(rest);
  if (found === null) return { min: 1, max: 1 };
  cursor.at += found[0].length;
  if (/^[*+?{]/.test(cursor.pattern.slice(cursor.at, cursor.at + 1))) {
    throw new PatternFault("a quantifier is repeated");
  }
  const [sign = "", low = "", comma, high] = found;
  if (sign.startsWith("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
  if (sign.startsWith("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
  if (sign.startsWith("?")) return { min: 0, max: 1 };
  const most = high ? Number(high) : Number.POSITIVE_INFINITY;
  return { min: Number(low), max: comma ? most : Number(low) };
}
