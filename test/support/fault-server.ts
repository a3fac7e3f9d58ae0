// A small HTTP server for tests, on raw sockets, so that it can lie: wrong ranges, cut bodies, pages in
// place of files, silence. Listens on 127.0.0.1 only.
import { createServer } from "node:net";
import type { Socket } from "node:net";
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
  | "etag"; // another ETag on every answer

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

/** What was asked for. */
export interface SeenRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** A running server. */
export interface FaultServer {
  readonly url: string;
  readonly requests: SeenRequest[];
  /** Bytes of bodies that were sent. */
  sentBytes(): number;
  /** Replaces the faults. */
  use(...faults: Fault[]): void;
  /** Spoils each answer with this probability, with one of the kinds. */
  useRandom(seed: number, probability: number, kinds: readonly FaultKind[]): void;
  /** Replaces a file; its ETag changes. */
  replace(path: string, bytes: Uint8Array): void;
  close(): Promise<void>;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
  /** Leave the connection open and silent after the body. */
  stall?: boolean;
  reset?: boolean;
}

const PAGE = new TextEncoder().encode("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n");
const POINTER = new TextEncoder().encode(
  "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
);

/** Serves `files` by path. `headers` are added to every answer. */
export async function startFaultServer(
  files: Readonly<Record<string, Uint8Array>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<FaultServer> {
  const content = new Map(Object.entries(files));
  const versions = new Map<string, number>();
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  let choose: (path: string) => Fault | undefined = () => undefined;
  let sent = 0;
  let etags = 0;

  const respond = (socket: Socket, request: SeenRequest): void => {
    requests.push(request);
    const bytes = content.get(request.path);
    const fault = choose(request.path);
    const version = versions.get(request.path) ?? 1;
    const etag = fault?.kind === "etag" ? `"e${++etags}"` : `"${request.path}-${version}"`;
    const answer = spoil(rightAnswer(bytes, request.range, etag), fault, bytes, request.range);
    sent += send(socket, answer, headers);
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (text.includes("\r\n\r\n")) respond(socket, parseRequest(text));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    sentBytes: () => sent,
    use: (...faults) => {
      choose = planned(faults);
    },
    useRandom: (seed, probability, kinds) => {
      choose = random(seed, probability, kinds);
    },
    replace: (path, bytes) => {
      content.set(path, bytes);
      versions.set(path, (versions.get(path) ?? 1) + 1);
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function planned(faults: readonly Fault[]): (path: string) => Fault | undefined {
  const seen = faults.map(() => 0);
  return (path) => {
    for (const [index, fault] of faults.entries()) {
      if (!path.endsWith(fault.file ?? "")) continue;
      const count = (seen[index] ?? 0) + 1;
      seen[index] = count;
      const after = fault.after ?? 0;
      if (count > after && count <= after + (fault.times ?? Infinity)) return fault;
    }
    return undefined;
  };
}

function random(seed: number, probability: number, kinds: readonly FaultKind[]) {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return (): Fault | undefined => {
    const isSpoilt = next() < probability;
    const kind = kinds[Math.floor(next() * kinds.length)] ?? "reset";
    return isSpoilt ? { kind, status: 503, retryAfter: "0" } : undefined;
  };
}

function rightAnswer(
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

function spoil(
  right: Answer,
  fault: Fault | undefined,
  bytes: Uint8Array | undefined,
  range: string | undefined,
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

function send(socket: Socket, answer: Answer, extra: Readonly<Record<string, string>>): number {
  if (answer.reset) {
    socket.resetAndDestroy();
    return 0;
  }
  const headers: Record<string, string> = {
    Connection: "close",
    "Content-Length": String(answer.body.length),
    ...extra,
    ...answer.headers,
  };
  const lines = Object.entries(headers)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${answer.status} X\r\n${lines.join("")}\r\n`);
  socket.write(answer.body);
  if (!answer.stall) socket.end();
  return answer.body.length;
}

function parseRequest(text: string): SeenRequest {
  const [line = "", ...rest] = text.split("\r\n");
  const pairs = rest
    .filter((header) => header.includes(":"))
    .map((header) => {
      const colon = header.indexOf(":");
      return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()] as const;
    });
  const headers = Object.fromEntries(pairs);
  return { path: decodeURI(line.split(" ")[1] ?? ""), range: headers["range"], headers };
}
