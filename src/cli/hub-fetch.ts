// A fetch that shows an access token to the hub, and to nobody else: what the hub redirects to gets none.
import type { FetchLike } from "../base/wire-fetch.ts";

/** @param token - of an account that accepted the model's terms; undefined for public models */
export function hubFetch(
  token: string | undefined,
  hubUrl = "https://huggingface.co",
): FetchLike | undefined {
  if (token === undefined || token === "") return undefined;
  const { origin } = new URL(hubUrl);
  return (url, init) => {
    const headers = new Headers(init.headers);
    if (new URL(url).origin === origin) headers.set("authorization", `Bearer ${token}`);
    return fetch(url, { ...init, headers });
  };
}
