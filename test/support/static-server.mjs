// A static web server for the demo, the tests and the benchmarks: byte ranges, cache validators, and
// any headers a test asks for. Serves one machine; it is no server for the internet.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/**
 * @typedef {object} ServerOptions
 * @property {Readonly<Record<string, string>>} folders - URL prefix ending in "/" -> folder; the longest that fits is taken
 * @property {number} [port] - default: a free one
 * @property {Readonly<Record<string, string>>} [headers] - sent with every answer, e.g. a Content-Security-Policy
 * @property {(request: Request, response: Response) => boolean | Promise<boolean>} [intercept]
 *   answers a request itself and returns true: redirects, faults, delays
 *
 * @typedef {object} StaticServer
 * @property {string} url - address of "/", ends in "/"
 * @property {string[]} log - "METHOD /path range" of every request so far
 * @property {() => Promise<void>} close
 */

/** What makes a page cross-origin isolated. The library must work with and without. */
export const ISOLATION_HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/**
 * The strictest policy under which the library works as it is. With Trusted Types on top, a page hands in
 * its workers (`workers` of LoadOptions) by its own policy.
 */
export const STRICT_POLICY_HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; " +
    "style-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'",
};

/** @type {Readonly<Record<string, string>>} */
const CONTENT_TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".jpg": "image/jpeg",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webp": "image/webp",
};

/**
 * Starts a server on this machine only (127.0.0.1).
 *
 * @param {ServerOptions} options
 * @returns {Promise<StaticServer>}
 * @throws Error with code EADDRINUSE when the port is taken
 */
export async function startStaticServer({ folders, port = 0, headers = {}, intercept }) {
  /** @type {string[]} */
  const log = [];
  const server = createServer((request, response) => {
    log.push([request.method, request.url, request.headers.range].filter((part) => part).join(" "));
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    answer(request, response, folders, intercept).catch(() => {
      // The client left in the middle of a file, or the file vanished: nobody to tell.
      response.destroy();
    });
  });
  await /** @type {Promise<void>} */ (
    new Promise((started, failed) => {
      server.once("error", failed);
      server.listen(port, "127.0.0.1", () => started());
    })
  );
  const address = server.address();
  const actual = address !== null && typeof address === "object" ? address.port : port;
  return {
    url: `http://localhost:${actual}/`,
    log,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/**
 * @param {Request} request
 * @param {Response} response
 * @param {ServerOptions["folders"]} folders
 * @param {ServerOptions["intercept"]} intercept
 */
async function answer(request, response, folders, intercept) {
  if (intercept && (await intercept(request, response))) return;
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return refuse(response, 405);
  }
  const file = filePath(request.url ?? "/", folders);
  const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
  if (file === undefined || !found?.isFile()) return refuse(response, 404);
  await sendFile(request, response, file, found);
}

/**
 * The file a URL names; undefined when it lies outside every folder.
 *
 * @param {string} url
 * @param {ServerOptions["folders"]} folders
 */
function filePath(url, folders) {
  let path;
  try {
    path = decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return undefined;
  }
  const prefix = Object.keys(folders)
    .filter((candidate) => path.startsWith(candidate))
    .toSorted((a, b) => b.length - a.length)[0];
  const folder = prefix === undefined ? undefined : folders[prefix];
  if (prefix === undefined || folder === undefined || path.includes("\0")) return undefined;
  const inside = path.slice(prefix.length);
  const file = resolve(
    folder,
    inside === "" || inside.endsWith("/") ? `${inside}index.html` : inside,
  );
  return file.startsWith(resolve(folder) + sep) ? file : undefined;
}

/**
 * @param {Request} request
 * @param {Response} response
 * @param {string} file
 * @param {import("node:fs").Stats} stats
 */
async function sendFile(request, response, file, { size, mtimeMs, mtime }) {
  const etag = `"${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"`;
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader("Cache-Control", "no-cache");
  response.setHeader("Content-Type", CONTENT_TYPES[extname(file)] ?? "application/octet-stream");
  response.setHeader("ETag", etag);
  response.setHeader("Last-Modified", mtime.toUTCString());
  if (request.headers["if-none-match"] === etag) return refuse(response, 304);
  const range = parseRange(request.headers.range, size);
  if (range === "unsatisfiable") {
    response.setHeader("Content-Range", `bytes */${size}`);
    return refuse(response, 416);
  }
  const { start, end } = range ?? { start: 0, end: size };
  if (range) response.setHeader("Content-Range", `bytes ${start}-${end - 1}/${size}`);
  response.setHeader("Content-Length", end - start);
  response.writeHead(range ? 206 : 200);
  if (request.method === "HEAD" || end === start) {
    response.end();
    return;
  }
  await pipeline(createReadStream(file, { start, end: end - 1 }), response);
}

/**
 * The one range of a Range header, end exclusive. Several ranges, other units and nonsense are ignored,
 * as RFC 9110 14.2 allows.
 *
 * @param {string | undefined} header
 * @param {number} size
 * @returns {{ start: number, end: number } | "unsatisfiable" | undefined}
 */
function parseRange(header, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  if (first === "") return { start: Math.max(0, size - Number(last)), end: size };
  const start = Number(first);
  const end = last === "" ? size : Math.min(size, Number(last) + 1);
  return start < size && start < end ? { start, end } : "unsatisfiable";
}

/**
 * @param {Response} response
 * @param {number} status
 */
function refuse(response, status) {
  response.writeHead(status);
  response.end();
}
