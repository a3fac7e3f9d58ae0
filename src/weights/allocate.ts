// Large pieces of memory, which a device may not have.
import { fail } from "../base/errors.ts";

/**
 * A zeroed array of bytes.
 *
 * @param what - continues "There is no memory for ..."
 * @throws ModelError out-of-memory with `details.neededBytes`; `availableBytes` is nobody's to know: the browser
 * tells no size of its memory
 */
export function allocate(bytes: number, what: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw fail(
      "out-of-memory",
      `There is no memory for ${what}: ${bytes} bytes in one piece were needed; how much there is the browser does not tell. ` +
        "Close other tabs, choose a coarser quantization, or a smaller model.",
      { neededBytes: bytes },
      cause,
    );
  }
}
