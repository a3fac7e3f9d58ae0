// Errors as plain data, and back. comlink itself keeps only message, name and stack: a ModelError would
// arrive as an Error without a code. Both ends of every worker boundary use this (wire.ts installs it).
import type { ErrorDetails, ModelErrorCode } from "./errors.ts";
import { ModelError } from "./errors.ts";

/** An error on its way between threads. `message`, `name` and `stack` are the fields comlink sends, too. */
export type ErrorRecord = {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** What it was made from: another error, or a primitive value. */
  readonly cause?: { readonly error: ErrorRecord } | { readonly value: unknown };
} & (
  | { readonly kind: "ModelError"; readonly code: ModelErrorCode; readonly details: ErrorDetails }
  | { readonly kind: "TypeError" | "RangeError" | "DOMException" | "Error" }
);

/** Causes of causes beyond this depth are dropped: a cyclic chain must not hang the thread. */
const MAX_CAUSE_DEPTH = 8;

/** The error and its causes as data that `postMessage` accepts. */
export function encodeError(error: Error, depth = 0): ErrorRecord {
  const record = {
    name: error.name,
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth === MAX_CAUSE_DEPTH
      ? {}
      : { cause: encodeCause(error.cause, depth + 1) }),
  };
  if (ModelError.isModelError(error)) {
    return { ...record, kind: "ModelError", code: error.code, details: error.details };
  }
  return { ...record, kind: kindOf(error) };
}

/** An error of the class, name, message, code, details, causes and stack that {@link encodeError} saw. */
export function decodeError(record: ErrorRecord): Error {
  const error = construct(record, causeOf(record));
  // Methods of DOMException check the object they sit on, and its name and stack cannot be set.
  if (error instanceof DOMException) return error;
  define(error, "stack", record.stack);
  if (error.name !== record.name) define(error, "name", record.name);
  return error;
}

function encodeCause(cause: unknown, depth: number): ErrorRecord["cause"] & object {
  if (cause instanceof Error) return { error: encodeError(cause, depth) };
  return { value: Object(cause) === cause || typeof cause === "symbol" ? String(cause) : cause };
}

function causeOf({ cause }: ErrorRecord): ErrorOptions | undefined {
  if (cause === undefined) return undefined;
  return { cause: "error" in cause ? decodeError(cause.error) : cause.value };
}

function kindOf(error: Error): "TypeError" | "RangeError" | "DOMException" | "Error" {
  if (error instanceof TypeError) return "TypeError";
  if (error instanceof RangeError) return "RangeError";
  return error instanceof DOMException ? "DOMException" : "Error";
}

function construct(record: ErrorRecord, options: ErrorOptions | undefined): Error {
  switch (record.kind) {
    case "ModelError":
      return new ModelError(record.code, record.message, record.details, options);
    case "TypeError":
      return new TypeError(record.message, options);
    case "RangeError":
      return new RangeError(record.message, options);
    case "DOMException":
      return new DOMException(record.message, record.name);
    case "Error":
      return new Error(record.message, options);
    default:
      return record satisfies never;
  }
}

function define(error: Error, property: "stack" | "name", value: string | undefined): void {
  if (value !== undefined) {
    Object.defineProperty(error, property, { value, writable: true, configurable: true });
  }
}
