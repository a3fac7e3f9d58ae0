import { afterEach, describe, expect, test } from "vitest";

import { hubFetch } from "../../../src/cli/hub-fetch.ts";
import type { FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";

let server: FaultServer;
afterEach(() => server.close());

describe("hubFetch", () => {
  test("shows the token to the hub alone, and keeps the range", async () => {
    server = await startFaultServer({ "/a": new Uint8Array(8) });
    const asked = { headers: { Range: "bytes=0-3" } };
    await hubFetch("secret", server.url)?.(`${server.url}/a`, asked);
    await hubFetch("secret", "https://hub.example")?.(`${server.url}/a`, asked);
    const seen = server.requests.map(({ headers, range }) => [headers["authorization"], range]);
    expect(seen).toEqual([
      ["Bearer secret", "bytes=0-3"],
      [undefined, "bytes=0-3"],
    ]);
    expect(hubFetch(undefined)).toBeUndefined();
    expect(hubFetch("")).toBeUndefined();
  });
});
