// A loader's work without a network or a store: imports that tests hold up, fail, or watch.
import { abortable } from "../../src/base/abort.ts";
import type { CachedModel } from "../../src/base/cache-info.ts";
import { fail } from "../../src/base/errors.ts";
import type { LoaderParts } from "../../src/engine/loader.ts";
import { nextTurn } from "./fake-model.ts";

/** A fake loader and what happened to it. */
export interface FakeLoader extends LoaderParts {
  /** What happened, in order: "import id", "stored id", "repair id", "fetched 200". */
  readonly log: string[];
}

/**
 * Stores hub models by their id, in two steps. "a/missing" fails, "a/slow" never arrives, "a/broken" is
 * stored under a key that a fake model fails to load; a lent fetch is asked once for each import.
 */
export function fakeLoader(): FakeLoader {
  const log: string[] = [];
  const stored = new Set<string>();
  const pinned = new Set<string>();
  return {
    log,
    async importModel({ location, quantization }, { onProgress, signal, fetch }) {
      const id = location.kind === "hub" ? location.id : location.kind;
      log.push(`import ${id}`);
      const answer = await fetch?.("https://hub.example/config.json", {});
      if (answer) log.push(`fetched ${answer.status}`);
      if (id === "a/missing") throw fail("download-failed", "Not there.", { status: 404 });
      if (id === "a/slow") await abortable(new Promise(() => undefined), signal);
      const alreadyStored = stored.has(id + quantization);
      if (!alreadyStored) onProgress({ ...PROGRESS, loadedBytes: 3 });
      await nextTurn();
      stored.add(id + quantization);
      log.push(`stored ${id}`);
      const manifestKey = id === "a/broken" ? "broken" : id;
      const origin = { source: `${id}@main`, revision: "c0ffee" };
      return { manifestKey, family: "fake", storedBytes: 6, alreadyStored, ...origin };
    },
    async repairModel({ location }) {
      log.push(`repair ${location.kind === "hub" ? location.id : location.kind}`);
    },
    listModels: async () => [...stored].map((key) => describe(key, pinned)),
    pinModels: async (key, isPinned) => {
      if (isPinned) pinned.add(key);
      else pinned.delete(key);
      return stored.has(key) ? 1 : 0;
    },
    makeRoom: async () => {
      const removed = [...stored].filter((key) => !pinned.has(key));
      for (const key of removed) stored.delete(key);
      return removed.map((key) => describe(key, pinned));
    },
    removeModels: async (key) => (stored.delete(key) ? 1 : 0),
    clearModels: async () => stored.clear(),
    measureUsage: async () => ({
      modelBytes: 6 * stored.size,
      originBytes: 100,
      quotaBytes: 1000,
      isPersistent: false,
    }),
  };
}

const PROGRESS = { phase: "download", file: "weights", totalBytes: 6, bytesPerSecond: 1 } as const;

function describe(key: string, pinned: ReadonlySet<string>): CachedModel {
  const origin = { id: key.slice(0, -2), revision: "c0ffee", family: "fake" };
  const times = { storedAt: 0, usedAt: 0 };
  return {
    key,
    ...origin,
    quantization: "q4",
    storedBytes: 6,
    ...times,
    isPinned: pinned.has(key),
  };
}
