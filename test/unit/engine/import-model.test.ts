import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { fail } from "../../../src/base/errors.ts";
import type { LoadProgress } from "../../../src/base/events.ts";
import type { SourceLocation } from "../../../src/base/source-location.ts";
import type { FetchLike } from "../../../src/base/wire-fetch.ts";
import { importModel, repairModel } from "../../../src/engine/import-model.ts";
import type { AdmittingTools } from "../../../src/engine/import-model.ts";
import type { ImportRequest, ImportTools } from "../../../src/engine/loader.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { listingOf } from "../../support/fake-hub.ts";
import { FakeLocks } from "../../support/fake-locks.ts";
import { setRow } from "../../support/set-row.ts";

const CHECKPOINT = new URL("../../golden/janus-flow/a/checkpoint/", import.meta.url);
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const HUB: SourceLocation = { kind: "hub", id: "tiny/janus-flow", revision: "main" };

interface Host {
  readonly fetch: FetchLike;
  readonly requests: string[];
  /** Files that the host pretends not to have. */
  readonly hidden: Set<string>;
}

const FILES = Object.fromEntries(
  readdirSync(CHECKPOINT, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [relative(fileURLToPath(CHECKPOINT), path), new Uint8Array(readFileSync(path))];
    }),
);

/** A hub with one repository, the golden checkpoint, and the hashes of its files. */
function host(): Host {
  const requests: string[] = [];
  const hidden = new Set<string>();
  const fetch: FetchLike = async (url, { headers }) => {
    const listed = /\/api\/models\/.*\/tree\/[^/]+\/?(.*)$/.exec(url);
    if (listed) return new Response(listingOf(FILES, listed[1]));
    const [, revision = "", path = ""] = /\/resolve\/([^/]+)\/(.+)$/.exec(url) ?? [];
    requests.push(`${revision} ${path}`);
    const bytes = hidden.has(path) ? undefined : readFile(path);
    if (!bytes) return new Response("Entry not found", { status: 404 });
    const range = /bytes=(\d+)-(\d+)/.exec(new Headers(headers).get("range") ?? "");
    const common = { "x-repo-commit": COMMIT, etag: `"${path}"` };
    if (!range) return new Response(bytes, { headers: common });
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)];
    return new Response(bytes.slice(start, end), {
      status: 206,
      headers: { ...common, "content-range": `bytes ${start}-${end - 1}/${bytes.length}` },
    });
  };
  return { fetch, requests, hidden };
}

function readFile(path: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return new Uint8Array(readFileSync(new URL(path, CHECKPOINT)));
  } catch {
    return undefined;
  }
}

function tools(fetch: FetchLike, seen: LoadProgress[] = []): ImportTools {
  return {
    fetch,
    onProgress: (event) => void seen.push(event),
    signal: new AbortController().signal,
  };
}

function request(companions: ImportRequest["companions"] = {}): ImportRequest {
  return { location: HUB, companions, quantization: "f32" };
}

function memoryStore(): { store: WeightStore; rows: KeyValue } {
  const rows = memoryKeyValue();
  return { store: new WeightStore(rows, "memory"), rows };
}

describe("importModel", () => {
  test("refuses weights that are not those that the hub lists, after a second look", async () => {
    const { fetch } = host();
    const path = "model.safetensors";
    const attempts = new Set<number>();
    let attempt = 0;
    let isCalm = false;
    const flipping: FetchLike = async (url, init) => {
      const answer = await fetch(url, init);
      const start = Number(/bytes=(\d+)-/.exec(new Headers(init.headers).get("range") ?? "")?.[1]);
      if (!url.endsWith(`/main/${path}`) && !url.endsWith(`/${COMMIT}/${path}`)) return answer;
      if (start === 0) attempt++;
      if (start === 0 || isCalm) return answer;
      attempts.add(attempt);
      const bytes = new Uint8Array(await new Response(answer.body).arrayBuffer());
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      return new Response(bytes, answer);
    };
    const { store } = memoryStore();
    await expect(importModel(request(), store, tools(flipping))).rejects.toMatchObject({
      code: "download-failed",
      details: { reason: "damaged", file: path },
    });
    expect(attempts.size).toBe(2);
    isCalm = true;
    expect((await importModel(request(), store, tools(flipping))).alreadyStored).toBe(false);
  });

  test("reads files once more that changed while they were read, and then gives up", async () => {
    for (const changes of [1, Infinity]) {
      const { fetch } = host();
      let left = changes;
      let opened = 0;
      const changing: FetchLike = async (url, init) => {
        const answer = await fetch(url, init);
        if (url.endsWith("/config.json") && !url.includes("vae")) opened++;
        const start = /bytes=(\d+)-/.exec(new Headers(init.headers).get("range") ?? "")?.[1];
        if (!url.endsWith("model.safetensors") || start === "0" || left === 0) return answer;
        left--;
        return new Response(null, { status: 416 });
      };
      const { store } = memoryStore();
      const importing = importModel(request(), store, tools(changing));
      if (changes === 1) expect((await importing).alreadyStored).toBe(false);
      else await expect(importing).rejects.toMatchObject({ details: { reason: "changed" } });
      expect(opened).toBe(2);
    }
  });

  test("stores a published checkpoint with its companion from a subfolder", async () => {
    const { store } = memoryStore();
    const seen: LoadProgress[] = [];
    const { fetch } = host();
    const outcome = await importModel(request(), store, tools(fetch, seen));
    expect(outcome).toMatchObject({
      family: "janus-flow",
      source: "tiny/janus-flow@main",
      revision: COMMIT,
      alreadyStored: false,
    });
    const manifest = await store.readManifest(outcome.manifestKey);
    expect(manifest?.totalBytes).toBe(outcome.storedBytes);
    expect(Object.keys(manifest?.files ?? {})).toContain("vae/config.json");
    expect(manifest?.companions["vae"]).toBeDefined();
    expect(seen[0]?.phase).toBe("resolve");
    expect(seen.at(-1)).toMatchObject({ phase: "download" });
  });

  test("fetches nothing the second time", async () => {
    const { store } = memoryStore();
    const hub = host();
    const first = await importModel(request(), store, tools(hub.fetch));
    hub.requests.length = 0;
    const second = await importModel(request(), store, tools(hub.fetch));
    expect(second).toEqual({ ...first, alreadyStored: true });
    expect(hub.requests).toEqual([]);
  });

  test("takes a companion from where the caller says", async () => {
    const { store } = memoryStore();
    const { fetch, requests } = host();
    const vae: SourceLocation = { kind: "url", url: "https://other.example/resolve/x/vae" };
    const outcome = await importModel(request({ vae }), store, tools(fetch));
    const manifest = await store.readManifest(outcome.manifestKey);
    expect(manifest?.companions["vae"]?.source).toBe("https://other.example/resolve/x/vae");
    expect(requests).toContain("x vae/config.json");
  });

  test("asks whether the model is welcome before it fetches a byte of its weights", async () => {
    const { store } = memoryStore();
    const hub = host();
    const read = new Map<string, number>();
    const fetch: FetchLike = async (url, init) => {
      const path = url.slice(url.lastIndexOf("/") + 1);
      const [, end = "0"] = /-(\d+)/.exec(new Headers(init.headers).get("range") ?? "") ?? [];
      read.set(path, Math.max(read.get(path) ?? 0, Number(end)));
      return hub.fetch(url, init);
    };
    const refusal = fail("out-of-memory", "Too large.");
    const admit = vi.fn<NonNullable<AdmittingTools["admit"]>>().mockRejectedValue(refusal);
    const importing = importModel(request(), store, { ...tools(fetch), admit });
    await expect(importing).rejects.toBe(refusal);
    expect(admit).toHaveBeenCalledOnce();
    expect(admit.mock.calls[0]?.[0]).toMatchObject({ family: { id: "janus-flow" } });
    // The header, which is read with the first 128 KiB.
    expect(read.get("model.safetensors")).toBeLessThan(2 ** 17);
    expect((await store.usage()).bytes).toBe(0);
  });

  test("refuses a companion that the family does not have", async () => {
    const { store } = memoryStore();
    const companions = { vea: { kind: "url", url: "https://other.example/" } } as const;
    const importing = importModel(request(companions), store, tools(host().fetch));
    await expect(importing).rejects.toThrow(/no companion "vea"; it has vae/);
  });

  test("names the file that is missing", async () => {
    const hub = host();
    hub.hidden.add("config.json");
    const importing = importModel(request(), memoryStore().store, tools(hub.fetch));
    await expect(importing).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringContaining("config.json"),
    });
  });
});

describe("two tabs", () => {
  const sharedStore = (rows: KeyValue): WeightStore => new WeightStore(rows, "indexeddb");

  test("make one download", async () => {
    const [rows, hub, locks] = [memoryKeyValue(), host(), new FakeLocks()];
    const seen: LoadProgress[] = [];
    const load = (): ReturnType<typeof importModel> =>
      importModel(request(), sharedStore(rows), {
        ...tools(hub.fetch, seen),
        locks: locks.openTab(),
      });
    const [first, second] = await Promise.all([load(), load()]);
    expect([first.alreadyStored, second.alreadyStored]).toEqual([false, true]);
    expect(new Set(hub.requests).size).toBeGreaterThan(1);
    const alone = host();
    await importModel(request(), memoryStore().store, tools(alone.fetch));
    expect(hub.requests.length).toBe(alone.requests.length);
  });

  test("end with the same rows where there are no locks", async () => {
    const [rows, hub] = [memoryKeyValue(), host()];
    const load = (): ReturnType<typeof importModel> =>
      importModel(request(), sharedStore(rows), tools(hub.fetch));
    const [first] = await Promise.all([load(), load(), load()]);
    const manifest = await sharedStore(rows).readManifest(first.manifestKey);
    for (const shard of manifest?.shards ?? []) await sharedStore(rows).get(shard);
    const kinds = (await rows.keys()).map((key) => key.split(":")[0]);
    expect(kinds.filter((kind) => kind === "shard").length).toBe(manifest?.shards.length);
    expect(kinds).not.toContain("journal");
  });

  test("one of which deletes everything in the middle of the other's import", async () => {
    const [rows, hub] = [memoryKeyValue(), host()];
    let shards = 0;
    const clearing: KeyValue = {
      ...rows,
      change: async (decide) => {
        await rows.change(decide);
        const stored = (await rows.keys()).filter((key) => key.startsWith("shard:")).length;
        if (stored > 0 && shards++ === 0) await sharedStore(rows).clear();
      },
    };
    const outcome = await importModel(request(), sharedStore(clearing), tools(hub.fetch));
    const manifest = await sharedStore(rows).readManifest(outcome.manifestKey);
    expect(manifest?.shards.length).toBeGreaterThan(0);
    for (const shard of manifest?.shards ?? []) await sharedStore(rows).get(shard);
  });
});

test("a model that is stored loads on a disk that is full", async () => {
  const [rows, hub] = [memoryKeyValue(), host()];
  await importModel(request(), new WeightStore(rows, "memory"), tools(hub.fetch));
  const change = (): Promise<never> => Promise.reject(new DOMException("", "QuotaExceededError"));
  const full = new WeightStore({ ...rows, change }, "memory");
  expect((await importModel(request(), full, tools(hub.fetch))).alreadyStored).toBe(true);
});

describe("repairModel", () => {
  test("fetches only what is damaged, at the stored commit", async () => {
    const { store, rows } = memoryStore();
    const hub = host();
    const { manifestKey } = await importModel(request(), store, tools(hub.fetch));
    const shard = (await store.readManifest(manifestKey))?.shards[0];
    if (!shard) throw new Error("nothing was stored");
    await setRow(rows, `shard:${shard.hash}`, new Blob(["damage"]));
    hub.requests.length = 0;
    await repairModel(request(), store, tools(hub.fetch));
    expect((await store.get(shard)).length).toBe(shard.bytes);
    expect(new Set(hub.requests.map((line) => line.split(" ")[0]))).toEqual(new Set([COMMIT]));
  });

  test("fetches all of a model that is gone, or whose manifest is damaged", async () => {
    const { store, rows } = memoryStore();
    const hub = host();
    const { manifestKey } = await importModel(request(), store, tools(hub.fetch));
    await setRow(rows, `manifest:${manifestKey}`, { version: 1 });
    await repairModel(request(), store, tools(hub.fetch));
    expect(await store.readManifest(manifestKey)).toBeDefined();
  });

  test("fetches nothing when nothing is damaged", async () => {
    const { store } = memoryStore();
    const hub = host();
    await importModel(request(), store, tools(hub.fetch));
    hub.requests.length = 0;
    await repairModel(request(), store, tools(hub.fetch));
    expect(hub.requests).toEqual([]);
  });
});
