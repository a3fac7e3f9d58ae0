// Numbers and errors as people read them.
import { ModelError } from "web-umm";

const UNITS = ["bytes", "kB", "MB", "GB", "TB"] as const;

/** 4200000 -> "4.2 MB", in powers of ten as disks and networks count. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 0.1234 -> "123 ms", 12.34 -> "12.3 s", 123 -> "2 min 3 s". */
export function seconds(value: number): string {
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** What went wrong, in the words of the error; what was cancelled is no error. */
export function describeError(error: unknown): string {
  if (isAbort(error)) return "Cancelled.";
  if (ModelError.isModelError(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

/** True for the reason of a cancelled call. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
