// The patterns of published tokenizers that loops make too rich for the rule of check-pattern.ts, by their
// exact text. Each costs time linear in the text: what one alternative reads in vain, another one consumes.

const LETTERS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const GPT2_WORDS = " ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const PREFIX = "[^\\r\\n\\p{L}\\p{N}]?";
const ASCII_STOP = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]";

/** Families whose pattern runs as it is. */
const LINEAR: readonly string[] = [
  // GPT-2, in the two spellings that occur
  `'(?:[sdmt]|ll|ve|re)|${GPT2_WORDS}|\\s+`,
  `'s|'t|'re|'ve|'m|'ll|'d|${GPT2_WORDS}|\\s+`,
  // Qwen2 and later
  `${ENDINGS}|${LETTERS}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`,
  // Llama 3
  `${ENDINGS}|${LETTERS}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`,
  // o200k: a run of capitals that the first alternative gives back is the second one's
  `${PREFIX}${UPPER}*${LOWER}+${ENDINGS}?|${PREFIX}${UPPER}+${LOWER}*${ENDINGS}?|\\p{N}{1,3}` +
    `| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  // DeepSeek V3
  `${ASCII_STOP}[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
  // Chameleon: digits hold no "<", so that no place is read twice
  "<sentinel:[0-9]+>",
];

/** What is compiled in place of a published pattern: itself, or one with the same matches that is linear. */
export const PUBLISHED_PATTERNS: ReadonlyMap<string, string> = new Map([
  ...LINEAR.map((pattern) => [pattern, pattern] as const),
  // DeepSeek LLM, so Janus and JanusFlow. As published it is tried from every space of a run: 100,000 spaces
  // hang for a minute (420 ms for 10,000, Node 20). Where it fails at a run's first space it fails at the
  // others, and a match leaves nothing of its run to match: so only first spaces need to be tried.
  ["\\s+$", "(?<!\\s)\\s+$"],
]);
