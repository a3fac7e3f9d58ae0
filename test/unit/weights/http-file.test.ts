import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ModelError } from "../../../src/base/errors.ts";
import type { HttpOptions } from "../../../src/weights/fetch-range.ts";
import { httpContext } from "../../../src/weights/fetch-range.ts";
import { HttpFile } from "../../../src/weights/http-file.ts";
import type { Fault, FaultKind, FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";

const SIZE = 300_000;
const CONTENT = Uint8Array.from({ length: SIZE }, (_, i) => (i * 31 + (i >> 8)) & 255);

let server: FaultServer;
beforeEach(async () => {
  server = await startFaultServer({ "/f.bin": CONTENT });
});
afterEach(() => server.close());

describe("readRange", () => {
  test("sends a plain Range and nothing that gives the user away", async () => {
    expectBytes(await open().readRange(1000, 2000), 1000, 2000);
    expect(server.requests[0]?.range).toBe("bytes=1000-1999");
    const sent = Object.keys(server.requests[0]?.headers ?? {});
    expect(sent).not.toContain("cookie");
    expect(sent).not.toContain("referer");
    expect(sent).not.toContain("if-range");
  });

  // Each of these fails once and is right the second time.
  test.each<FaultKind>([
    "truncate",
    "truncate-quietly",
    "short-range",
    "wrong-content-range",
    "no-content-range",
    "long-body",
    "stall",
    "reset",
  ])("survives %s", async (kind) => {
    server.use({ kind, times: 1 });
    expectBytes(await open().readRange(1000, 90_000), 1000, 90_000);
    expect(server.requests.length).toBe(2);
  });

  test("fetches only what is missing after a cut", async () => {
    server.use({ kind: "truncate", times: 1 });
    await open().readRange(0, 100_000);
    expect(server.requests.map(({ range }) => range)).toEqual([
      "bytes=0-99999",
      "bytes=50000-99999",
    ]);
  });

  test.each<[Fault, string]>([
    [{ kind: "status", status: 404 }, "not-found"],
    [{ kind: "status", status: 401 }, "gated"],
    [{ kind: "status", status: 403 }, "gated"],
    [{ kind: "status", status: 500 }, "server-error"],
    [{ kind: "status", status: 429, retryAfter: "0" }, "busy"],
    [{ kind: "status", status: 503 }, "busy"],
    [{ kind: "status", status: 416 }, "changed"],
    [{ kind: "status", status: 204 }, "wrong-range"],
    [{ kind: "reset" }, "network"],
    [{ kind: "stall" }, "stalled"],
    [{ kind: "short-range" }, "wrong-range"],
    [{ kind: "wrong-content-range" }, "wrong-range"],
    [{ kind: "no-content-range" }, "wrong-range"],
    [{ kind: "long-body" }, "wrong-range"],
    [{ kind: "html-206" }, "wrong-range"],
  ])("$kind $status ends as %s when it stays", async (fault, reason) => {
    server.use(fault);
    const outcome = await open({ attempts: 2 })
      .readRange(10, 20)
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "download-failed", details: { reason, file: "f.bin" } });
  });

  test("does not repeat what will not get better", async () => {
    server.use({ kind: "status", status: 404 });
    await expect(open().readRange(0, 9)).rejects.toThrow(/answered 404 .*f\.bin.*revision/s);
    expect(server.requests.length).toBe(1);
  });

  test("waits as long as the server asks", async () => {
    server.use({ kind: "status", status: 429, retryAfter: "7", times: 2 });
    const waits: number[] = [];
    await open({ pause: async (ms) => void waits.push(ms) }).readRange(0, 9);
    expect(waits).toEqual([7000, 7000]);
  });

  test.each<Fault>([
    { kind: "ignore-range" },
    { kind: "ignore-range-chunked" },
    { kind: "html" },
    { kind: "lfs-pointer" },
    { kind: "status", status: 403 },
  ])(
    "$kind $status in the middle of a file passes, and costs no second download",
    async (fault) => {
      const file = open();
      expectBytes(await file.readRange(0, 1000), 0, 1000);
      server.use({ ...fault, times: 1 });
      expectBytes(await file.readRange(200_000, 250_000), 200_000, 250_000);
      expectBytes(await file.readRange(250_000, 250_100), 250_000, 250_100);
      expect(server.requests.map(({ range }) => range)).toEqual([
        "bytes=0-999",
        "bytes=200000-249999",
        "bytes=200000-249999",
        "bytes=250000-250099",
      ]);
    },
  );

  test("an access that is withdrawn for good is told as such", async () => {
    const file = open();
    await file.readRange(0, 1000);
    server.use({ kind: "status", status: 403 });
    await expect(file.readRange(0, 9)).rejects.toMatchObject({ details: { reason: "gated" } });
    expect(server.requests.length).toBe(3);
  });

  test("tells a device that is offline", async () => {
    vi.stubGlobal("navigator", { onLine: false });
    try {
      server.use({ kind: "reset" });
      await expect(open().readRange(0, 9)).rejects.toMatchObject({
        code: "download-failed",
        details: { reason: "offline" },
      });
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test("never mixes two versions of a file", async () => {
    const file = open();
    await file.readRange(0, 100);
    server.replace("/f.bin", CONTENT.toReversed());
    await expect(file.readRange(100, 200)).rejects.toMatchObject({
      details: { reason: "changed" },
    });
  });

  test("gives up a silent server after the idle limit", async () => {
    server.use({ kind: "stall" });
    const failing = open({ attempts: 1, idleTimeoutMs: 60 }).readRange(0, 9);
    await expect(failing).rejects.toMatchObject({ details: { reason: "stalled" } });
  });

  test("an abort ends the request at once with the signal's reason", async () => {
    server.use({ kind: "stall" });
    const stop = new AbortController();
    const reading = open({ idleTimeoutMs: 60_000 }).readRange(0, 90_000, { signal: stop.signal });
    setTimeout(() => stop.abort(new Error("changed my mind")), 50);
    const start = performance.now();
    await expect(reading).rejects.toThrow("changed my mind");
    expect(performance.now() - start).toBeLessThan(500);
  });

  test("an abort ends the wait between attempts", async () => {
    server.use({ kind: "status", status: 503, retryAfter: "30" });
    const stop = new AbortController();
    const file = new HttpFile(`${server.url}/f.bin`, httpContext(), () => undefined);
    const reading = file.readRange(0, 9, { signal: stop.signal });
    setTimeout(() => stop.abort(new Error("changed my mind")), 50);
    await expect(reading).rejects.toThrow("changed my mind");
  });

  test("tells no query and no credentials in its errors", async () => {
    server.use({ kind: "status", status: 403 });
    const file = new HttpFile(`${server.url}/f.bin?token=secret`, httpContext(), () => undefined);
    const error = await file.readRange(0, 9).catch((failure: unknown) => failure);
    expect(JSON.stringify(error) + String(error)).not.toContain("secret");
  });
});

describe("a server that ignores Range", () => {
  test.each<FaultKind>(["ignore-range", "ignore-range-chunked", "gzip"])(
    "%s: is read once, in order",
    async (kind) => {
      server.use({ kind });
      const file = open();
      await file.readPrefix(1000);
      const reads = await Promise.all([
        file.readRange(500, 5000),
        file.readRange(8000, 9000),
        file.readRange(250_000, SIZE),
      ]);
      expectBytes(reads[0], 500, 5000);
      expectBytes(reads[1], 8000, 9000);
      expectBytes(reads[2], 250_000, SIZE);
      expect(server.requests.length).toBe(1);
    },
  );

  test("going back starts a new download", async () => {
    server.use({ kind: "ignore-range" });
    const file = open();
    expectBytes(await file.readRange(200_000, 200_100), 200_000, 200_100);
    expectBytes(await file.readRange(100, 200), 100, 200);
    expect(server.requests.length).toBe(2);
  });

  test("a cut is made good by starting again", async () => {
    const file = open();
    server.use({ kind: "ignore-range", times: 1 }, { kind: "truncate", times: 1 });
    await file.readPrefix(100);
    expectBytes(await file.readRange(200_000, SIZE), 200_000, SIZE);
  });

  test("a file that ends too early is an error", async () => {
    server.use({ kind: "ignore-range-chunked" });
    const failing = open({ attempts: 2 }).readRange(SIZE - 10, SIZE + 10);
    await expect(failing).rejects.toMatchObject({ details: { reason: "truncated" } });
  });
});

describe("readPrefix", () => {
  test.each<FaultKind | undefined>([undefined, "ignore-range", "ignore-range-chunked", "gzip"])(
    "tells the whole file when it is short (%s)",
    async (kind) => {
      if (kind) server.use({ kind });
      const { bytes, size } = await open().readPrefix(SIZE + 1);
      expect(size).toBe(SIZE);
      expectBytes(bytes, 0, SIZE);
    },
  );

  test("tells the size of a longer file", async () => {
    expect((await open().readPrefix(10)).size).toBe(SIZE);
  });

  test.each<FaultKind>(["html", "html-206"])("recognises a page (%s)", async (kind) => {
    server.use({ kind });
    await expect(open().readPrefix(1000)).rejects.toMatchObject({ details: { reason: "html" } });
  });

  test("recognises a Git LFS pointer", async () => {
    server.use({ kind: "lfs-pointer" });
    await expect(open().readPrefix(1000)).rejects.toThrow(/git lfs pull/);
  });

  test("reads an empty file", async () => {
    await server.close();
    server = await startFaultServer({ "/f.bin": new Uint8Array(0) });
    expect(await open().readPrefix(100)).toEqual({ bytes: new Uint8Array(0), size: 0 });
  });
});

describe("a host that hides its headers from other origins", () => {
  // What a page sees without Access-Control-Expose-Headers.
  const crossOrigin: HttpOptions["fetch"] = async (url, init) => {
    const { status, body } = await fetch(url, init);
    return { status, body, type: "cors", headers: new Headers() };
  };

  test("is trusted as far as the bytes count", async () => {
    const file = open({ fetch: crossOrigin });
    expect((await file.readPrefix(1000)).size).toBeUndefined();
    expectBytes(await file.readRange(5, 5000), 5, 5000);
    expect((await file.readPrefix(SIZE + 1)).size).toBe(SIZE);
  });

  test.each<FaultKind>(["short-range", "long-body", "truncate-quietly"])(
    "%s is still noticed",
    async (kind) => {
      server.use({ kind, times: 1 });
      const file = open({ fetch: crossOrigin });
      expectBytes(await file.readRange(1000, 90_000), 1000, 90_000);
      expect(server.requests.length).toBe(2);
    },
  );
});

describe("a page that is as long as the file", () => {
  const PAGE = `<!doctype html><html>${"<p>Please sign in</p>".repeat(20_000)}</html>`;
  // Neither length nor ETag can be seen from another origin.
  const portal =
    (from: number): HttpOptions["fetch"] =>
    async (url, init) => {
      const isPortal = server.requests.length >= from;
      const { status, body } = isPortal ? new Response(PAGE) : await fetch(url, init);
      return { status, body, type: "cors", headers: new Headers() };
    };

  test("is not taken for it at the beginning", async () => {
    const reading = open({ fetch: portal(0) }).readRange(1000, 2000);
    await expect(reading).rejects.toMatchObject({ details: { reason: "html" } });
  });

  test("is not taken for it later", async () => {
    const file = open({ fetch: portal(1) });
    await file.readRange(0, 1000);
    const reading = file.readRange(1000, 2000);
    await expect(reading).rejects.toMatchObject({ details: { reason: "wrong-range" } });
  });
});

describe("under random faults", () => {
  const KINDS: readonly FaultKind[] = [
    "truncate",
    "truncate-quietly",
    "short-range",
    "wrong-content-range",
    "no-content-range",
    "long-body",
    "reset",
    "status",
    "html-206",
  ];
  test.each([1, 2, 3, 4])("seed %d: every range is right or a typed error", async (seed) => {
    server.useRandom(seed, 0.3, KINDS);
    const file = open({ attempts: 8 });
    let right = 0;
    for (let at = 0; at + 5000 <= SIZE; at += 5000) {
      try {
        expectBytes(await file.readRange(at, at + 5000), at, at + 5000);
        right++;
      } catch (error) {
        if (!ModelError.isModelError(error)) throw error;
      }
    }
    expect(right).toBeGreaterThan(55); // of 60
  });
});

function open(options: HttpOptions = {}): HttpFile {
  const context = httpContext({ idleTimeoutMs: 150, pause: async () => undefined, ...options });
  return new HttpFile(`${server.url}/f.bin`, context, () => undefined);
}

// toEqual takes a second for a few hundred kilobytes.
function expectBytes(actual: Uint8Array | undefined, start: number, end: number): void {
  expect(Buffer.compare(actual ?? new Uint8Array(), CONTENT.subarray(start, end))).toBe(0);
}
