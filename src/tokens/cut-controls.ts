// Strings that would steer the model, as a user typed them: none of the pieces holds one.

/** The text in pieces, each control token cut behind its first character; at least one piece. */
export function cutControls(text: string, strings: Iterable<string>): string[] {
  const controls = byFirstLetter(strings);
  const pieces: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const isControl = controls.get(text[at] ?? "")?.some((control) => text.startsWith(control, at));
    if (isControl !== true) continue;
    const cut = at + String.fromCodePoint(text.codePointAt(at) ?? 0).length;
    pieces.push(text.slice(start, cut));
    start = cut;
  }
  return [...pieces, text.slice(start)];
}

function byFirstLetter(strings: Iterable<string>): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const string of strings) {
    const [first = ""] = string.split("", 1);
    const group = groups.get(first);
    if (group) group.push(string);
    else groups.set(first, [string]);
  }
  return groups;
}
