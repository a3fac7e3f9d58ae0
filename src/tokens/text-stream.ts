// Ids, one at a time -> text that grows and never changes. A character may span several ids, and what an id
// says may depend on the ids before it (a leading space), so the last few are decoded together each time.

/** What a stream needs of a tokenizer. */
export interface TextSource {
  decode(ids: readonly number[]): string;
  isSpecial(id: number): boolean;
  tokenOf(id: number): string | undefined;
}

/** Text that grows with every id. */
export interface TextStream {
  /** The text that is certain now and was not before; "" inside a character and for control tokens. */
  push(id: number): string;
  /** What was held back: "" unless the ids end inside a character. */
  end(): string;
}

/** Ids that are decoded together before older ones are let go. */
const WINDOW_IDS = 16;

/** U+FFFD at the end that may still become a character: one of four bytes lacks its last. */
const MAX_UNFINISHED = 3;

/**
 * A stream for one answer. Control tokens and ids without a token give no text.
 *
 * All deltas together are `decode` of all ids. Only where bytes that are no UTF-8 meet a byte-fallback
 * decoder, which takes back whole characters then, what was shown stays.
 */
export function createTextStream(tokenizer: TextSource): TextStream {
  let window: number[] = [];
  // text of the window that was shown
  let shown = "";

  const show = (text: string): string => {
    const delta = text.slice(commonLength(text, shown));
    shown = text;
    return delta;
  };

  return {
    push(id) {
      const token = tokenizer.tokenOf(id);
      if (token === undefined || tokenizer.isSpecial(id)) return "";
      window.push(id);
      const text = tokenizer.decode(window);
      const certain = withoutUnfinished(text);
      // bytes after a character can look like damage to all of it until their own is complete
      if (!certain.startsWith(shown) && certain !== text) return "";
      if (certain.length < shown.length) return "";
      const delta = show(certain);
      if (certain === text && window.length >= WINDOW_IDS && !isByte(token)) {
        window = [id];
        shown = tokenizer.decode(window);
      }
      return delta;
    },
    end() {
      return window.length === 0 ? "" : show(tokenizer.decode(window));
    },
  };
}

function withoutUnfinished(text: string): string {
  let end = text.length;
  while (end > text.length - MAX_UNFINISHED && text[end - 1] === "\uFFFD") end--;
  return text.slice(0, end);
}

/** A byte of a byte-fallback vocabulary: what it says depends on its neighbours. */
function isByte(token: string): boolean {
  return /^<0x[0-9A-F]{2}>$/.test(token);
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
