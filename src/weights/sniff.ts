// Recognises what servers send in place of a file: a web page, or the pointer that Git LFS leaves.
import type { FetchReason } from "./download-error.ts";

/** Bytes that {@link sniff} needs to see. */
export const SNIFF_BYTES = 256;

// Spelled out: a safetensors file may well begin with "<" and a letter (a header length), not with these.
const HTML = /^\s*(?:<!doctype html|<!--|<html|<head|<meta|<title|<script|<body|<\?xml)/i;
const LFS_POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\//;

/** What the beginning of an answer gives away, or undefined when it may be the file. */
export function sniff(
  beginning: Uint8Array,
): Extract<FetchReason, "html" | "lfs-pointer"> | undefined {
  const text = new TextDecoder().decode(beginning.subarray(0, SNIFF_BYTES));
  if (HTML.test(text)) return "html";
  return LFS_POINTER.test(text) ? "lfs-pointer" : undefined;
}
