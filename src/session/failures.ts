// Turns what onnxruntime throws into errors that say which graph and what to do.
import { ModelError, fail } from "../base/errors.ts";

const MEMORY =
  /out of memory|\bOOM\b|bad_alloc|failed to allocate|allocation failed|memory\.grow|invalid array buffer length/i;

// onnxruntime fetches its wasm when the first session is made, and tries only once in a worker.
const NO_WASM = /no available backend|initWasm|dynamically imported module/i;

// "... for requested buffer of size 4096": what onnxruntime's allocator says, where it says anything.
const ASKED = /requested buffer of size (\d+)/i;

const ADVICE =
  "Try a smaller picture, a coarser quantization, a memoryBudgetBytes, or close other tabs.";

/** JavaScript's own way to say that there is no memory, as a ModelError; any other error as it is. */
export function memoryFailure(error: unknown): unknown {
  if (!(error instanceof RangeError) || !MEMORY.test(error.message)) return error;
  return fail(
    "out-of-memory",
    `The worker has no memory left: ${error.message} (The browser does not tell how much there is.) ${ADVICE}`,
    { exhausted: true },
    error,
  );
}

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
  if (MEMORY.test(text)) return ortIsFull(`${action} ${graphName}`, graphName, text, cause);
  return new Error(`web-umm internal error: could not ${action} ${graphName}: ${text}`, { cause });
}

// Its heap is its own: how much it had is not known, and how much it wanted only where it says so.
function ortIsFull(action: string, graph: string, text: string, cause: unknown): ModelError {
  const asked = ASKED.exec(text)?.[1];
  const note = asked === undefined ? " (It does not tell how much it asked for.)" : "";
  const needed = asked === undefined ? {} : { neededBytes: Number(asked) };
  return fail(
    "out-of-memory",
    `onnxruntime had not enough memory to ${action}: ${text}${note} ${ADVICE}`,
    { graph, ...needed, exhausted: true },
    cause,
  );
}
