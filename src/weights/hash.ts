// SHA-256 of shards and keys, as lowercase hex.
import { fail } from "../base/errors.ts";

/**
 * SHA-256 of bytes or of a text's UTF-8.
 *
 * @throws ModelError storage-unavailable where the page is not a secure context, so that the browser has
 * no crypto.subtle
 */
export async function sha256(data: Uint8Array<ArrayBuffer> | string): Promise<string> {
  // Typed as always there; absent on http pages other than localhost.
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (!subtle) {
    throw fail(
      "storage-unavailable",
      "Weights cannot be checked: this page is not a secure context. Serve it over https or from localhost.",
    );
  }
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return toHex(new Uint8Array(await subtle.digest("SHA-256", bytes)));
}

/** Bytes as lowercase hex. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes of what {@link toHex} gave. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}
