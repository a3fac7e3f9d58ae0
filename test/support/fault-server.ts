// A small HTTP server for tests, on raw sockets, so that it can lie: wrong ranges, cut bodies, pages in
// place of files, silence. Listens on 127.0.0.1 only.
import { createServer } from "node:net";
import type { Socket } from "node:net";
import type { Answer, Fault, FaultKind } from "./fault-kinds.ts";
import { pseudoRandom } from "./damage-json.ts";
import { rightAnswer, spoil } from "./fault-kinds.ts";

export type { Fault, FaultKind } from "./fault-kinds.ts";

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
  /**
   * Spoils each answer with this probability, with one of the kinds. What happens to a request depends on the seed,
   * the request, and how often it came, not on the order in which requests come.
   *
   * @param statuses - of the kind "status"; default 503
   */
  useRandom(
    seed: number,
    probability: number,
    kinds: readonly FaultKind[],
    statuses?: readonly number[],
  ): void;
  /** How often each kind was used. */
  readonly injected: ReadonlyMap<FaultKind, number>;
  /** Replaces a file; its ETag changes. */
  replace(path: string, bytes: Uint8Array): void;
  close(): Promise<void>;
}

/** Serves `files` by path. `headers` are added to every answer. */
export async function startFaultServer(
  files: Readonly<Record<string, Uint8Array>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<FaultServer> {
  const content = new Map(Object.entries(files));
  const versions = new Map<string, number>();
  const requests: SeenRequest[] = [];
  const injected = new Map<FaultKind, number>();
  const sockets = new Set<Socket>();
  let choose: (path: string, range?: string) => Fault | undefined = () => undefined;
  let draw: () => number = Math.random;
  let sent = 0;
  let etags = 0;

  const respond = (socket: Socket, request: SeenRequest): void => {
    requests.push(request);
    const bytes = content.get(request.path);
    const fault = choose(request.path, request.range);
    const version = versions.get(request.path) ?? 1;
    const etag = fault?.kind === "etag" ? `"e${++etags}"` : `"${request.path}-${version}"`;
    if (fault && bytes) injected.set(fault.kind, (injected.get(fault.kind) ?? 0) + 1);
    const right = rightAnswer(bytes, request.range, etag);
    const answer = spoil(right, fault, bytes, request.range, draw);
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
    injected,
    sentBytes: () => sent,
    use: (...faults) => {
      choose = planned(faults);
    },
    useRandom: (seed, probability, kinds, statuses = [503]) => {
      const seen = new Map<string, number>();
      choose = (path, range) => {
        const request = `${path} ${range}`;
        const times = (seen.get(request) ?? 0) + 1;
        seen.set(request, times);
        draw = numbers(`${seed} ${request} ${times}`);
        if (draw() >= probability) return undefined;
        const kind = kinds[Math.floor(draw() * kinds.length)] ?? "reset";
        const status = statuses[Math.floor(draw() * statuses.length)] ?? 503;
        return { kind, status, retryAfter: "0" };
      };
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

function numbers(text: string): () => number {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  const next = pseudoRandom(hash);
  return () => next(2 ** 31) / 2 ** 31;
}

function send(socket: Socket, answer: Answer, extra: Readonly<Record<string, string>>): number {
  if (answer.raw !== undefined) {
    socket.write(answer.raw);
    if (!answer.stall) socket.end();
    return answer.raw.length;
  }
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
