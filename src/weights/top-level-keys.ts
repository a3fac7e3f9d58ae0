// The keys of a JSON object as they are written, repeated ones included, which JSON.parse does not show.

/** Keys of the outermost object in text order. The text must be valid JSON. */
export function* topLevelKeys(text: string): Generator<string> {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (char === '"') {
      const end = closingQuote(text, at);
      if (depth === 1 && isFollowedByColon(text, end)) {
        yield String(JSON.parse(text.slice(at, end + 1)));
      }
      at = end;
    }
  }
}

function closingQuote(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
  return text.length - 1;
}

function isFollowedByColon(text: string, quote: number): boolean {
  let at = quote + 1;
  while (text[at] === " " || text[at] === "\n" || text[at] === "\r" || text[at] === "\t") at++;
  return text[at] === ":";
}
