// SHA-256 of shards and keys, as lowercase hex; and a short name for what nobody gains by forging.
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

/** FNV-1a of a text's UTF-8, 64 bits: a name; nothing may depend on its being hard to forge. */
export function fingerprint(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
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
