// Turns what onnxruntime throws into errors that say which graph and what to do.
import { ModelError, fail } from "../base/errors.ts";

const MEMORY = /out of memory|bad_alloc|failed to allocate|allocation failed|memory\.grow/i;

// onnxruntime fetches its wasm when the first session is made, and tries only once in a worker.
const NO_WASM = /no available backend|initWasm|dynamically imported module/i;

/**
 * The error of a call that onnxruntime refused: by its text out-of-memory or
 * download-failed, else internal.
 */
export function ortFailure(action: string, graphName: string, cause: unknown): Error {
  if (ModelError.isModelError(cause)) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (NO_WASM.test(text)) {
    return fail(
      "download-failed",
      `onnxruntime's files could not be loaded: ${text} They lie beside the library's own; check that the server delivers .wasm and .mjs, then load the model again.`,
      {},
      cause,
    );
  }
  if (MEMORY.test(text)) {
    return fail(
      "out-of-memory",
      `There was not enough memory to ${action} ${graphName}: ${text} Try a smaller picture, a coarser quantization, or close other tabs.`,
      { graph: graphName },
      cause,
    );
  }
  return new Error(`web-umm internal error: could not ${action} ${graphName}: ${text}`, { cause });
}
