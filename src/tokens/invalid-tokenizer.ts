// What the readers of a tokenizer.json share: its one error, and objects of which nothing is known.
import { fail } from "../base/errors.ts";

/** An object of a file from outside. */
export type Json = Readonly<Record<string, unknown>>;

/** A checkpoint-invalid error about tokenizer.json. @param what - continues "tokenizer.json ..." */
export function invalidTokenizer(what: string, cause?: unknown): Error {
  return fail("checkpoint-invalid", `tokenizer.json ${what}.`, { file: "tokenizer.json" }, cause);
}

/** True for an object that is no array. */
export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
