// What can go wrong between a server and us, said so that a user can act on it.
import type { ModelError } from "../base/errors.ts";
import { fail, ModelError as AnyModelError } from "../base/errors.ts";

/** Why a download failed; `details.reason` of a `download-failed` error. */
export type FetchReason =
  | "network"
  | "offline"
  | "stalled"
  | "truncated"
  | "gated"
  | "not-found"
  | "busy"
  | "server-error"
  | "wrong-range"
  | "html"
  | "lfs-pointer"
  | "changed"
  | "damaged"
  | "too-large";

const ADVICE: Readonly<Record<FetchReason, string>> = {
  network:
    "The server cannot be reached from this page: check the connection, the address, and that the server allows cross-origin requests.",
  offline:
    "This device is offline. Connect and load again: what was downloaded is kept, and models that are stored need no network.",
  stalled: "The server stopped sending. Load again: what was downloaded is kept.",
  truncated:
    "The server ended the answer before all of its bytes arrived. Load again: what was downloaded is kept.",
  gated:
    "The files are gated or private: accept the model's terms on the hub and pass a `fetch` that adds your access token.",
  "not-found": "Check the model's name, its revision and the file's name.",
  busy: "The server asks to slow down. Load again later: what was downloaded is kept.",
  "server-error": "The server failed. Load again later: what was downloaded is kept.",
  "wrong-range":
    "The server answered with other bytes than asked for. Serve the files from a host that supports HTTP Range, or load them from a local folder.",
  html: "The server answered with a web page in place of the file: check the address, and sign in if the network asks for it.",
  "lfs-pointer":
    "The server holds a Git LFS pointer in place of the file: run `git lfs pull` where the files are served from.",
  changed: "The file changed on the server while it was read. Load again.",
  damaged:
    "What was stored of it is given up. Load again; if it happens again, something between the hub and this page changes files.",
  "too-large":
    "A file of this kind is never that large; the server does not hold what was asked for.",
};

/** Where and how a download failed. */
export interface FetchFailure {
  readonly reason: FetchReason;
  /** Full address; query and credentials are removed before anyone sees it. */
  readonly url: string;
  /** HTTP status, 0 when there was no answer. */
  readonly status: number;
  /** What was seen, as the first sentence of the message, without its full stop. */
  readonly seen: string;
  /** The server's wish, as it was sent. */
  readonly retryAfter?: string;
  readonly cause?: unknown;
}

/** A `download-failed` error: what was seen, where, what to do. */
export function downloadFailed(failure: FetchFailure): ModelError {
  const { reason, url, status, seen, retryAfter, cause } = failure;
  const shown = withoutSecrets(url);
  const details = { reason, url: shown, status, file: fileName(shown) };
  return fail(
    "download-failed",
    `${seen} (${shown}). ${ADVICE[reason]}`,
    retryAfter === undefined ? details : { ...details, retryAfter },
    cause,
  );
}

/** The reason of a `download-failed` error, undefined for any other error. */
export function reasonOf(error: unknown): string | undefined {
  if (!AnyModelError.isModelError(error) || error.code !== "download-failed") return undefined;
  return String(error.details["reason"]);
}

/** True when the error says that a file is not there: 404, or a page in place of a file. */
export function isAbsence(error: unknown): boolean {
  const reason = reasonOf(error);
  return reason === "not-found" || reason === "html";
}

/** The address without query, fragment and credentials, which may hold tokens. */
export function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return url;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function fileName(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}
