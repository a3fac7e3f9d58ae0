// Addresses of pictures, with servers that are slow, silent or too talkative.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ModelError } from "../../../src/base/errors.ts";
import { fetchImage, IDLE_LIMIT_MS } from "../../../src/pixels/fetch-image.ts";

const ADDRESS = "https://pictures.example/secret/cat.png?token=1";
const MAX_BYTES = 1000;

/** A body that gives its parts and is then silent, or ends. */
function bodyOf(parts: readonly (readonly number[])[], ends: boolean): ReadableStream<Uint8Array> {
  const rest = [...parts];
  return new ReadableStream({
    pull(controller) {
      const part = rest.shift();
      if (part) controller.enqueue(Uint8Array.from(part));
      else if (ends) controller.close();
      else return new Promise(() => undefined);
      return undefined;
    },
  });
}

/** A fetch whose request stops as the real one does. */
function serving(answer: () => Promise<Response>): { fetch: typeof fetch; stopped: () => boolean } {
  let asked: AbortSignal | null | undefined;
  const send: typeof fetch = (_url, init) => {
    asked = init?.signal;
    return new Promise((resolve, reject) => {
      asked?.addEventListener("abort", () => reject(asked?.reason as Error));
      answer().then(resolve, reject);
    });
  };
  return { fetch: send, stopped: () => asked?.aborted ?? false };
}

const never = new Promise<never>(() => undefined);

describe("a silent server", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test.each([
    ["never answers", () => never],
    ["stops in the body", async () => new Response(bodyOf([[1, 2]], false))],
  ])("that %s is left after the idle limit", async (_name, answer) => {
    const server = serving(answer);
    const image = fetchImage(ADDRESS, { maxBytes: MAX_BYTES, fetch: server.fetch });
    const outcome = image.catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(IDLE_LIMIT_MS - 1);
    expect(server.stopped()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    const error = await Promise.race([outcome, Promise.resolve("still waiting")]);
    expect(error).toBeInstanceOf(ModelError);
    expect(error).toMatchObject({
      code: "download-failed",
      details: { host: "pictures.example", reason: "stalled" },
    });
    expect((error as Error).message).not.toContain("secret");
    expect(server.stopped()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that goes on sending is waited for", async () => {
    const pauses = [1, 2, 3].map((part) => part * (IDLE_LIMIT_MS - 1));
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const pause of pauses) {
          setTimeout(() => controller.enqueue(Uint8Array.of(7)), pause);
        }
        setTimeout(() => controller.close(), pauses.at(-1));
      },
    });
    const server = serving(async () => new Response(body));
    const image = fetchImage(ADDRESS, { maxBytes: MAX_BYTES, fetch: server.fetch });
    await vi.advanceTimersByTimeAsync(3 * IDLE_LIMIT_MS);
    expect((await image).size).toBe(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is left at once when the caller stops", async () => {
    const stop = new AbortController();
    const server = serving(async () => new Response(bodyOf([[1]], false)));
    const options = { maxBytes: MAX_BYTES, fetch: server.fetch, signal: stop.signal };
    const outcome = fetchImage(ADDRESS, options).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(10);
    stop.abort(new Error("enough"));
    expect(await outcome).toMatchObject({ message: "enough" });
    expect(server.stopped()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("other answers", () => {
  test("that break off or are refused are told apart", async () => {
    const broken = new ReadableStream({
      pull: (controller) => controller.error(new Error("reset")),
    });
    const cases = [
      ["broke off", "truncated", async () => new Response(broken)],
      ["cannot be reached", "network", async () => Promise.reject(new TypeError("failed"))],
      ["status 404", undefined, async () => new Response("", { status: 404 })],
    ] as const;
    for (const [text, reason, answer] of cases) {
      const image = fetchImage(ADDRESS, { maxBytes: MAX_BYTES, ...serving(answer) });
      await expect(image, text).rejects.toMatchObject({
        message: expect.stringContaining(text) as unknown,
        details: reason === undefined ? { status: 404 } : { reason },
      });
    }
  });

  test("that hold too much end the request", async () => {
    const parts = Array.from({ length: 3 }, () => Array<number>(MAX_BYTES / 2).fill(1));
    const server = serving(async () => new Response(bodyOf(parts, false)));
    const image = fetchImage(ADDRESS, { maxBytes: MAX_BYTES, fetch: server.fetch });
    await expect(image).rejects.toThrow(RangeError);
    expect(server.stopped()).toBe(true);
  });
});

describe("a data URL", () => {
  const options = { maxBytes: 10_000_000, fetch: () => never };
  const bytesOf = async (address: string): Promise<Uint8Array> =>
    new Uint8Array(await (await fetchImage(address, options)).arrayBuffer());

  test("gives its bytes, in base64 or percent-encoded", async () => {
    expect(await bytesOf("data:image/png;base64,AAH/gA==")).toEqual(Uint8Array.of(0, 1, 255, 128));
    expect(await bytesOf("data:image/png,%00%01%FF%80a")).toEqual(
      Uint8Array.of(0, 1, 255, 128, 97),
    );
    await expect(fetchImage("data:image/png;base64,A", options)).rejects.toThrow(TypeError);
  });

  test("of megabytes is read in a moment", async () => {
    const bytes = 5_000_000;
    const address = `data:image/png;base64,${"AAAA".repeat(Math.ceil(bytes / 3))}`;
    await fetchImage(address, options); // compiled
    const started = process.cpuUsage();
    expect((await fetchImage(address, options)).size).toBeGreaterThanOrEqual(bytes);
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(250);
  });
});
