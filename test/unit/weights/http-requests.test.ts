// What a request tells of the page, and how long a file is asked for.
import { afterEach, beforeEach, expect, test } from "vitest";

import type { FetchLike } from "../../../src/base/wire-fetch.ts";
import type { HttpOptions } from "../../../src/weights/fetch-range.ts";
import { httpContext } from "../../../src/weights/fetch-range.ts";
import { HttpFile } from "../../../src/weights/http-file.ts";
import type { FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";

const CONTENT = Uint8Array.from({ length: 100 }, (_, i) => i);

let server: FaultServer;
beforeEach(async () => {
  server = await startFaultServer({ "/f.bin": CONTENT });
});
afterEach(() => server.close());

test("asks past every cache, without cookies and without telling the page", async () => {
  const inits: RequestInit[] = [];
  const noted: FetchLike = (url, init) => {
    inits.push(init);
    return fetch(url, init);
  };
  await open({ fetch: noted }).readRange(0, 10);
  expect(inits).toHaveLength(1);
  expect(inits[0]).toMatchObject({
    cache: "no-store",
    credentials: "omit",
    referrerPolicy: "no-referrer",
    headers: { Range: "bytes=0-9" },
  });
  expect(inits[0]?.method ?? "GET").toBe("GET");
});

test("waits longer for a network that was there than for one that never was", async () => {
  let lost = 0;
  let asked = 0;
  const flaky: FetchLike = (url, init) => {
    asked++;
    return lost-- > 0 ? Promise.reject(new TypeError("no network")) : fetch(url, init);
  };
  const file = open({ fetch: flaky, attempts: 5 });
  await file.readRange(0, 10);
  lost = 14;
  expect(await file.readRange(10, 20)).toEqual(CONTENT.slice(10, 20));
  lost = Infinity;
  asked = 0;
  await expect(file.readRange(20, 30)).rejects.toMatchObject({ code: "download-failed" });
  expect(asked).toBe(15);
  asked = 0;
  const never = open({ fetch: flaky, attempts: 5 });
  await expect(never.readRange(20, 30)).rejects.toMatchObject({ code: "download-failed" });
  expect(asked).toBe(5);
});

test("does not wait when the server asks for longer than anybody would", async () => {
  server.use({ kind: "status", status: 429, retryAfter: "3600" });
  await expect(open({}).readRange(0, 10)).rejects.toMatchObject({
    code: "download-failed",
    details: { reason: "busy", retryAfter: "3600" },
  });
  expect(server.requests).toHaveLength(1);
});

function open(options: HttpOptions): HttpFile {
  const context = httpContext({ pause: async () => undefined, ...options });
  return new HttpFile(`${server.url}/f.bin`, context, () => undefined);
}
