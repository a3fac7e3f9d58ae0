// Bytes of a picture file from an address, never more than the limit. A data URL is taken apart here: a
// page whose policy forbids fetching them may still pass one.
import { fail } from "../base/errors.ts";

/** Where and how much. */
export interface FetchImageOptions {
  readonly maxBytes: number;
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The file behind an address; a relative one counts from the page.
 *
 * @throws TypeError for what is no address, RangeError for too many bytes, ModelError download-failed
 */
export async function fetchImage(address: string | URL, options: FetchImageOptions): Promise<Blob> {
  const url = parseAddress(address);
  if (url.protocol === "data:") return readDataUrl(url.href, options.maxBytes);
  const response = await request(url, options);
  try {
    const parts = await readParts(response, options.maxBytes);
    return new Blob(parts, { type: response.headers.get("Content-Type") ?? "" });
  } catch (cause) {
    if (cause instanceof RangeError || options.signal?.aborted) throw cause;
    throw downloadFailed(url, "broke off", cause);
  }
}

function parseAddress(address: string | URL): URL {
  try {
    return new URL(address, pageAddress());
  } catch (cause) {
    const shown = String(address).slice(0, 80);
    throw new TypeError(`The image address ${shown} is not a URL.`, { cause });
  }
}

function pageAddress(): string | undefined {
  if (typeof document !== "undefined") return document.baseURI;
  return typeof location === "undefined" ? undefined : location.href;
}

async function request(url: URL, options: FetchImageOptions): Promise<Response> {
  const { fetch: send, signal, maxBytes } = options;
  let response: Response;
  try {
    response = await send(url, { referrerPolicy: "no-referrer", signal: signal ?? null });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw downloadFailed(url, "cannot be reached, or does not allow this page to read it", cause);
  }
  if (!response.ok) throw downloadFailed(url, `answered with status ${response.status}`);
  if (Number(response.headers.get("Content-Length")) > maxBytes) throw tooLarge(maxBytes);
  return response;
}

/** The body, as long as it keeps to the limit. */
async function readParts(response: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  // no `for await`: Safari's streams are not iterable yet
  const reader = response.body?.getReader();
  if (reader === undefined) return parts;
  for (let bytes = 0; ;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    if (bytes > maxBytes) {
      await reader.cancel();
      throw tooLarge(maxBytes);
    }
    parts.push(value);
  }
  return parts;
}

/** "data:image/png;base64,..." or percent-encoded data. */
function readDataUrl(href: string, maxBytes: number): Blob {
  // base64 has 4 characters for 3 bytes, percent-encoding 3 for 1
  if (href.length > 3 * maxBytes + 1000) throw tooLarge(maxBytes);
  const comma = href.indexOf(",");
  const head = href.slice("data:".length, comma);
  const isBase64 = /;\s*base64\s*$/i.test(head);
  try {
    const text = percentDecode(href.slice(comma + 1));
    const binary = isBase64 ? atob(text) : text;
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return new Blob([bytes], { type: head.split(";")[0] ?? "" });
  } catch (cause) {
    throw new TypeError("The image's data URL is damaged.", { cause });
  }
}

/** One character per byte. */
function percentDecode(text: string): string {
  return text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function tooLarge(maxBytes: number): RangeError {
  return new RangeError(`The image file has more than ${maxBytes} bytes.`);
}

/** Names the host only: paths and queries may hold secrets. */
function downloadFailed({ host, protocol }: URL, what: string, cause?: unknown): Error {
  const source = host || protocol;
  return fail("download-failed", `The image at ${source} ${what}.`, { host: source }, cause);
}
