// The ways in which an answer of a server can be wrong, headers and bodies that lie included.
import { gzipSync } from "node:zlib";

/** What may go wrong with one answer. */
export type FaultKind =
  | "ignore-range" // 200 and the whole file
  | "ignore-range-chunked" // the same without Content-Length
  | "status" // `status`, with `retryAfter` where given
  | "truncate" // fewer bytes than Content-Length says
  | "truncate-quietly" // no Content-Length, closed early
  | "short-range" // 206 whose headers and body agree on fewer bytes
  | "wrong-content-range" // right bytes, other Content-Range
  | "no-content-range"
  | "shifted" // right headers, bytes from one place further
  | "long-body" // more bytes than the range has
  | "html" // 200 and a page
  | "html-206" // a page, as a range
  | "lfs-pointer"
  | "gzip" // whole file, compressed
  | "stall" // headers and half of the body, then nothing
  | "reset" // no answer
  | "etag" // another ETag on every answer
  | "flip" // one bit of the body is another
  | "gzip-cut" // the compressed file, cut, with the right length of what is left
  | "multipart" // 206 multipart/byteranges
  | "lying-total" // right bytes, another size of the whole file
  | "bad-chunk" // a chunked body whose framing breaks off
  | "half-head" // the connection ends within the headers
  | "silence" // no answer at all, and no end
  | "redirect" // to where nobody listens
  | "empty"; // 206 with the right headers and no body

/** A fault, and when it happens. */
export interface Fault {
  readonly kind: FaultKind;
  /** Only for paths that end so. */
  readonly file?: string;
  /** How many answers are spoilt; all of them when absent. */
  readonly times?: number;
  /** Answers of the path that stay right before. */
  readonly after?: number;
  readonly status?: number;
  readonly retryAfter?: string;
}

/** What goes to the socket. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
  /** Leave the connection open and silent after the body. */
  stall?: boolean;
  reset?: boolean;
  /** Sent in place of all of the above. */
  raw?: string;
}

const PAGE = new TextEncoder().encode("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n");
const POINTER = new TextEncoder().encode(
  "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
);

/** What a server that is well says. */
export function rightAnswer(
  bytes: Uint8Array | undefined,
  range: string | undefined,
  etag: string,
): Answer {
  if (!bytes) return { status: 404, headers: {}, body: new TextEncoder().encode("Not Found") };
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  if (first === undefined) return { status: 200, headers: { ETag: etag }, body: bytes };
  const start = Number(first);
  const end = Math.min(Number(last) + 1, bytes.length);
  if (start >= end) {
    const headers = { "Content-Range": `bytes */${bytes.length}` };
    return { status: 416, headers, body: new Uint8Array(0) };
  }
  const contentRange = `bytes ${start}-${end - 1}/${bytes.length}`;
  const body = bytes.subarray(start, end);
  return { status: 206, headers: { ETag: etag, "Content-Range": contentRange }, body };
}

/** The same, made wrong. @param random - decides where a bit flips */
export function spoil(
  right: Answer,
  fault: Fault | undefined,
  bytes: Uint8Array | undefined,
  range: string | undefined,
  random: () => number = Math.random,
): Answer {
  if (!fault || !bytes) return right;
  const { headers, body } = right;
  const etag = headers["ETag"] ?? "";
  const length = { "Content-Length": String(body.length) };
  const half = body.subarray(0, Math.floor(body.length / 2));
  switch (fault.kind) {
    case "ignore-range":
      return { status: 200, headers: { ETag: etag }, body: bytes };
    case "ignore-range-chunked":
      return { status: 200, headers: { ETag: etag, "Content-Length": "" }, body: bytes };
    case "status":
      return {
        status: fault.status ?? 500,
        headers: fault.retryAfter === undefined ? {} : { "Retry-After": fault.retryAfter },
        body: new Uint8Array(0),
      };
    case "truncate":
      return { ...right, headers: { ...headers, ...length }, body: half };
    case "truncate-quietly":
      return { ...right, headers: { ...headers, "Content-Length": "" }, body: half };
    case "short-range":
      return rightAnswer(bytes, shortened(range), etag);
    case "wrong-content-range":
      return { ...right, headers: { ...headers, "Content-Range": "bytes 7-9/10" } };
    case "no-content-range":
      return { ...right, headers: { ETag: etag } };
    case "shifted":
      return { ...rightAnswer(bytes, shifted(range), etag) };
    case "long-body":
      return { ...right, headers: { ...headers, "Content-Length": "" }, body: doubled(body) };
    case "html":
      return { status: 200, headers: { "Content-Type": "text/html" }, body: PAGE };
    case "html-206":
      return {
        status: 206,
        headers: { "Content-Range": `bytes 0-${PAGE.length - 1}/${PAGE.length}` },
        body: PAGE,
      };
    case "lfs-pointer":
      return { status: 200, headers: {}, body: POINTER };
    case "gzip":
      return {
        status: 200,
        headers: { ETag: etag, "Content-Encoding": "gzip" },
        body: gzipSync(bytes),
      };
    case "stall":
      return { ...right, headers: { ...headers, ...length }, body: half, stall: true };
    case "reset":
      return { ...right, reset: true };
    case "etag":
      return right;
    case "flip":
      return { ...right, body: flipped(body, random()) };
    case "gzip-cut": {
      const packed = gzipSync(bytes);
      const cut = packed.subarray(0, Math.floor(packed.length * random()));
      return { status: 200, headers: { ETag: etag, "Content-Encoding": "gzip" }, body: cut };
    }
    case "multipart":
      return multipart(right);
    case "lying-total":
      return { ...right, headers: { ...headers, "Content-Range": lying(headers) } };
    case "bad-chunk":
      return { ...right, raw: `${CHUNKED}ffff\r\nonly this`, body: half };
    case "half-head":
      return { ...right, raw: "HTTP/1.1 206 Partial Con" };
    case "silence":
      return { ...right, raw: "", stall: true };
    case "redirect":
      return { status: 302, headers: { Location: "http://127.0.0.1:1/" }, body: new Uint8Array(0) };
    case "empty":
      return { ...right, body: new Uint8Array(0) };
    default:
      return fault.kind satisfies never;
  }
}

function shortened(range: string | undefined): string {
  const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  return `bytes=${first}-${Math.max(Number(first), Number(last) - 3)}`;
}

function shifted(range: string | undefined): string {
  const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  return `bytes=${Number(first) + 1}-${Number(last) + 1}`;
}

function doubled(body: Uint8Array): Uint8Array {
  const twice = new Uint8Array(body.length * 2);
  twice.set(body);
  twice.set(body, body.length);
  return twice;
}

const CHUNKED = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

function flipped(body: Uint8Array, where: number): Uint8Array {
  const copy = body.slice();
  const bit = Math.floor(where * copy.length * 8);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

function multipart({ headers, body }: Answer): Answer {
  const place = headers["Content-Range"] ?? "bytes 0-0/1";
  const head = `--x\r\nContent-Range: ${place}\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(head), body, Buffer.from("\r\n--x--\r\n")]);
  return {
    status: 206,
    headers: { "Content-Type": "multipart/byteranges; boundary=x" },
    body: bytes,
  };
}

function lying({
  "Content-Range": place = "bytes 0-0/1",
}: Readonly<Record<string, string>>): string {
  return place.replace(/\d+$/, (total) => String(Number(total) + 1));
}
