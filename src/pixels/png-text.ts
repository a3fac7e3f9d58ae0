// Text inside PNG files: what made a picture travels with it as iTXt chunks, which image tools show.
// https://www.w3.org/TR/png-3/#11iTXt
import { assert } from "../base/assert.ts";
import { pngChunk, pngChunks } from "./png-chunk.ts";

/** Zero bytes between keyword and text: end of keyword, not compressed, method, no language, no translation. */
const SEPARATORS = 5;
const MAX_KEYWORD_CHARACTERS = 79;

/**
 * Bytes of an uncompressed iTXt chunk. A NUL, which the format forbids, becomes U+FFFD.
 *
 * @param keyword - 1..79 printable ASCII characters
 */
export function pngTextChunk(keyword: string, text: string): Uint8Array<ArrayBuffer> {
  const isKeyword = /^[!-~](?:[ -~]*[!-~])?$/.test(keyword);
  assert(isKeyword && keyword.length <= MAX_KEYWORD_CHARACTERS, `"${keyword}" is a PNG keyword`);
  const encoder = new TextEncoder();
  const value = encoder.encode(text.replaceAll("\0", "\uFFFD"));
  const data = new Uint8Array(keyword.length + SEPARATORS + value.length);
  data.set(encoder.encode(keyword));
  data.set(value, keyword.length + SEPARATORS);
  return pngChunk("iTXt", data);
}

/**
 * Texts of a PNG file by keyword: tEXt and uncompressed iTXt chunks; of one keyword the first.
 *
 * @returns an empty map for bytes that are no PNG
 */
export function readPngTexts(bytes: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { type, data } of pngChunks(bytes)) {
    const entry = type === "iTXt" ? readInternational(data) : type === "tEXt" && readLatin(data);
    if (entry && !texts.has(entry.keyword)) texts.set(entry.keyword, entry.text);
  }
  return texts;
}

interface TextEntry {
  readonly keyword: string;
  readonly text: string;
}

function readInternational(data: Uint8Array): TextEntry | undefined {
  const keywordEnd = data.indexOf(0);
  const isCompressed = data[keywordEnd + 1] !== 0;
  const languageEnd = data.indexOf(0, keywordEnd + 3);
  const translationEnd = data.indexOf(0, languageEnd + 1);
  if (keywordEnd < 1 || isCompressed || languageEnd < 0 || translationEnd < 0) return undefined;
  const text = new TextDecoder().decode(data.subarray(translationEnd + 1));
  return { keyword: latin(data.subarray(0, keywordEnd)), text };
}

function readLatin(data: Uint8Array): TextEntry | undefined {
  const end = data.indexOf(0);
  if (end < 1) return undefined;
  return { keyword: latin(data.subarray(0, end)), text: latin(data.subarray(end + 1)) };
}

function latin(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
