// Reads values out of a parsed JSON config from outside: every value is checked against a range, every
// message names the file and the key. Only own properties count, so "__proto__" is just a strange key.
import { fail } from "../base/errors.ts";

interface IntegerRule {
  readonly min?: number;
  readonly max: number;
  readonly fallback?: number;
}

interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly fallback?: number;
}

/** A JSON object with typed, bounded access to its values. */
export class ConfigReader {
  readonly #json: Readonly<Record<string, unknown>>;
  readonly #place: string;

  /** @throws ModelError checkpoint-invalid when `json` is not an object */
  constructor(json: unknown, place: string) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      const state = json === undefined ? "is missing" : "is not a JSON object";
      throw fail("checkpoint-invalid", `${place} ${state}.`, { place });
    }
    this.#json = json as Readonly<Record<string, unknown>>;
    this.#place = place;
  }

  /** True when the key is present and not null. */
  has(key: string): boolean {
    return this.#value(key) !== undefined;
  }

  /** An object inside; an empty one when absent. */
  section(key: string): ConfigReader {
    return new ConfigReader(this.#value(key) ?? {}, `${this.#place} ${key}`);
  }

  /** A whole number from min (1) to max. */
  integer(key: string, { min = 1, max, fallback }: IntegerRule): number {
    const value = this.#value(key) ?? fallback;
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
      throw this.wrong(key, min === max ? String(min) : `an integer from ${min} to ${max}`);
    }
    return Number(value);
  }

  /** A number of attention heads, which share the width among them. */
  heads(key: string, width: number, rule: IntegerRule): number {
    const heads = this.integer(key, rule);
    if (width % heads === 0) return heads;
    const message = `${this.#place}: ${heads} heads (${key}) do not divide a width of ${width}.`;
    throw fail("checkpoint-invalid", message, { place: this.#place, key });
  }

  /** A finite number from min to max. */
  number(key: string, { min, max, fallback }: NumberRule): number {
    const value = this.#value(key) ?? fallback;
    if (typeof value !== "number" || !(value >= min && value <= max)) {
      throw this.wrong(key, `a number from ${min} to ${max}`);
    }
    return value;
  }

  /** A short list of whole numbers from 1 to max; it may be empty where the fallback is. */
  integers(
    key: string,
    { max, fallback }: { max: number; fallback?: readonly number[] },
  ): number[] {
    const least = fallback?.length === 0 ? 0 : 1;
    const value = this.#value(key) ?? fallback;
    const isFine = (item: unknown): boolean =>
      Number.isInteger(item) && Number(item) >= 1 && Number(item) <= max;
    const isList = Array.isArray(value) && value.length >= least && value.length <= 16;
    if (!isList || !value.every(isFine)) {
      throw this.wrong(key, `a list of integers from 1 to ${max}`);
    }
    return value.map(Number);
  }

  /** `count` whole numbers from 1 to max, as a list or as one number that stands for all. */
  perLevel(
    key: string,
    { max, count, fallback }: { max: number; count: number; fallback: number },
  ): number[] {
    const value = this.#value(key) ?? fallback;
    if (!Array.isArray(value)) {
      return Array.from({ length: count }, () => this.integer(key, { max, fallback }));
    }
    const list = this.integers(key, { max });
    if (list.length !== count) throw this.wrong(key, `${count} integers`);
    return list;
  }

  /** A list of finite numbers as long as the fallback. */
  numbers(key: string, fallback: readonly number[]): number[] {
    const value = this.#value(key) ?? fallback;
    const isFine = (item: unknown): boolean => typeof item === "number" && Number.isFinite(item);
    if (!Array.isArray(value) || value.length !== fallback.length || !value.every(isFine)) {
      throw this.wrong(key, `a list of ${fallback.length} numbers`);
    }
    return value.map(Number);
  }

  /** A string of at most 1000 characters. */
  text(key: string, fallback: string): string {
    const value = this.#value(key) ?? fallback;
    if (typeof value !== "string" || value.length > 1000) throw this.wrong(key, "a short string");
    return value;
  }

  /** A list of at most 16 short strings. */
  texts(key: string, fallback: readonly string[]): string[] {
    const value = this.#value(key) ?? fallback;
    const isFine = (item: unknown): boolean => typeof item === "string" && item.length <= 1000;
    if (!Array.isArray(value) || value.length > 16 || !value.every(isFine)) {
      throw this.wrong(key, "a list of short strings");
    }
    return value.map(String);
  }

  /** true or false. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.#value(key) ?? fallback;
    if (typeof value !== "boolean") throw this.wrong(key, "true or false");
    return value;
  }

  /** Every key of this object with its whole number from 0 to max: a vocabulary. */
  wholeNumbers(max: number): [name: string, value: number][] {
    return Object.keys(this.#json).map((key) => [key, this.integer(key, { min: 0, max })]);
  }

  /** The error that says what a value must be and is not. */
  wrong(key: string, rule: string): Error {
    const seen = JSON.stringify(this.#value(key))?.slice(0, 80) ?? "nothing";
    return fail("checkpoint-invalid", `${this.#place}: ${key} must be ${rule}, got ${seen}.`, {
      place: this.#place,
      key,
    });
  }

  #value(key: string): unknown {
    return Object.hasOwn(this.#json, key) ? (this.#json[key] ?? undefined) : undefined;
  }
}
