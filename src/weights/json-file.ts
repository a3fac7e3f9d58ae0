// JSON of a model repository, which is input from strangers: sizes are capped, objects have no prototype,
// and a key called "__proto__" is refused rather than merged into anything.
import { fail } from "../base/errors.ts";

/** A parsed JSON value. Objects have a null prototype. */
export type Json = null | boolean | number | string | Json[] | JsonObject;

/** A parsed JSON object. */
export interface JsonObject {
  [key: string]: Json;
}

/** Nesting of a real config is below 10. */
const MAX_DEPTH = 64;
/** Values in one file: ten times the largest known tokenizer.json. */
const MAX_VALUES = 20_000_000;

/**
 * Parses the text of a JSON file.
 *
 * @param file - its path, for the message
 * @throws ModelError checkpoint-invalid when the text is no JSON, nests too deep, or has a `__proto__` key
 */
export function parseJson(text: string, file: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    throw invalid(file, "is not JSON (cut short?)", cause);
  }
  return clean(value, { file, depth: 0, count: { values: 0 } });
}

/** {@link parseJson} for files that hold an object. @throws ModelError checkpoint-invalid when it is none */
export function parseJsonObject(text: string, file: string): JsonObject {
  const value = parseJson(text, file);
  if (isJsonObject(value)) return value;
  throw invalid(
    file,
    `holds ${Array.isArray(value) ? "a list" : typeof value}, expected an object`,
  );
}

/** True for an object, false for lists and null. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Walk {
  readonly file: string;
  readonly depth: number;
  readonly count: { values: number };
}

function clean(value: unknown, walk: Walk): Json {
  const { file, depth, count } = walk;
  if (depth > MAX_DEPTH) throw invalid(file, `nests deeper than ${MAX_DEPTH} levels`);
  if (++count.values > MAX_VALUES) throw invalid(file, `holds more than ${MAX_VALUES} values`);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  if (typeof value !== "object" || value === null) return null;
  const inside = { file, depth: depth + 1, count };
  if (Array.isArray(value)) return value.map((item: unknown) => clean(item, inside));
  const object: JsonObject = Object.create(null);
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") throw invalid(file, 'has a key "__proto__"');
    object[key] = clean(item, inside);
  }
  return object;
}

function invalid(file: string, what: string, cause?: unknown): Error {
  return fail(
    "checkpoint-invalid",
    `${file} ${what}. The file is damaged or not part of a model; fetch it again.`,
    { file },
    cause,
  );
}
