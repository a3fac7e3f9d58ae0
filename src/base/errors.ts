// The one error class of the library. What can go wrong in the world has a code from this list;
// caller mistakes are TypeError / RangeError and cancellation is the signal's own reason.

/** Every way the world can fail a call. Stable: applications switch on it. */
export type ModelErrorCode =
  | "webgpu-unavailable"
  | "device-lost"
  | "out-of-memory"
  | "unsupported-model"
  | "checkpoint-invalid"
  | "weights-corrupt"
  | "download-failed"
  | "quota-exceeded"
  | "storage-unavailable"
  | "busy"
  | "numerics";

/** Plain data that travels with an error: names, sizes, urls; never file contents or prompts. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/**
 * A failure of the world (network, storage, GPU, checkpoint), as opposed to a mistake of the caller.
 *
 * `message` says what happened, the value seen, and what to do. `code` is stable, `details` is data.
 */
export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly code: ModelErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ModelErrorCode,
    message: string,
    details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** True for a ModelError of any copy of this library, also one that crossed a worker boundary. */
  static isModelError(value: unknown): value is ModelError {
    return value instanceof Error && value.name === "ModelError" && "code" in value;
  }
}

/** Builds a {@link ModelError}; `cause` keeps the error it was made from. */
export function fail(
  code: ModelErrorCode,
  message: string,
  details: ErrorDetails = {},
  cause?: unknown,
): ModelError {
  return new ModelError(code, message, details, cause === undefined ? undefined : { cause });
}
