// Bytes of a picture file from an address, never more than the limit, never waiting for a silent server. A
// data URL is taken apart here: a page whose policy forbids fetching them may still pass one.
import { fail, type ErrorDetails } from "../base/errors.ts";

/** Where and how much. */
export interface FetchImageOptions {
  readonly maxBytes: number;
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal | undefined;
}

/** Longest silence of a server, as for weights: then the picture has failed. */
export const IDLE_LIMIT_MS = 20_000;

/**
 * The file behind an address; a relative one counts from the page.
 *
 * @throws TypeError for what is no address, RangeError for too many bytes, ModelError download-failed
 */
export async function fetchImage(address: string | URL, options: FetchImageOptions): Promise<Blob> {
  const url = parseAddress(address);
  if (url.protocol === "data:") return readDataUrl(url.href, options.maxBytes);
  const server = new Server(url, options.signal);
  try {
    const response = await server.ask(options.fetch);
    if (Number(response.headers.get("Content-Length")) > options.maxBytes) {
      throw tooLarge(options.maxBytes);
    }
    const parts = await readParts(response, server, options.maxBytes);
    return new Blob(parts, { type: response.headers.get("Content-Type") ?? "" });
  } catch (error) {
    server.leave();
    throw error;
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

/** One request, whose every wait ends with the idle limit or with the caller's signal. */
class Server {
  readonly #url: URL;
  readonly #signal: AbortSignal | undefined;
  readonly #request = new AbortController();

  constructor(url: URL, signal: AbortSignal | undefined) {
    this.#url = url;
    this.#signal = signal;
  }

  async ask(send: typeof fetch): Promise<Response> {
    const { signal } = this.#request;
    const asked = send(this.#url, { referrerPolicy: "no-referrer", signal });
    const response = await this.wait(asked, {
      reason: "network",
      what: "cannot be reached, or does not allow this page to read it",
    });
    if (response.ok) return response;
    const { status } = response;
    throw downloadFailed(this.#url, `answered with status ${status}`, { status });
  }

  /** Settles as `work` does, within the limits. @throws ModelError download-failed, or the signal's reason */
  async wait<T>(work: Promise<T>, broken: { reason: string; what: string }): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stop = (): void => undefined;
    const limits = new Promise<never>((_, reject) => {
      stop = () => reject(this.#signal?.reason as Error);
      if (this.#signal?.aborted) stop();
      timer = setTimeout(() => {
        const what = `was silent for ${IDLE_LIMIT_MS / 1000} s: try again, or pass the file itself`;
        reject(downloadFailed(this.#url, what, { reason: "stalled" }));
      }, IDLE_LIMIT_MS);
    });
    this.#signal?.addEventListener("abort", stop, { once: true });
    try {
      const { reason, what } = broken;
      const told = work.catch((cause: unknown) => {
        throw downloadFailed(this.#url, what, { reason }, cause);
      });
      return await Promise.race([told, limits]);
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", stop);
    }
  }

  /** Ends the request; harmless when it has ended. */
  leave(): void {
    this.#request.abort();
  }
}

/** The body, as long as it keeps to the limit. */
async function readParts(
  response: Response,
  server: Server,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  // no `for await`: Safari's streams are not iterable yet
  const reader = response.body?.getReader();
  if (reader === undefined) return parts;
  const broken = { reason: "truncated", what: "broke off" };
  try {
    for (let bytes = 0; ;) {
      const { done, value } = await server.wait(reader.read(), broken);
      if (done) return parts;
      bytes += value.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      parts.push(value);
    }
  } finally {
    // not awaited: a body that is silent may never say that it has ended
    reader.cancel().catch(() => undefined);
  }
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
    // a loop: Uint8Array.from takes a string character by character, 100 times as slowly
    const bytes = new Uint8Array(binary.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
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
function downloadFailed(
  { host, protocol }: URL,
  what: string,
  details: ErrorDetails,
  cause?: unknown,
): Error {
  const source = host || protocol;
  const told = { host: source, ...details };
  return fail("download-failed", `The image at ${source} ${what}.`, told, cause);
}
