import { describe, expect, test } from "vitest";
import type { LoadProgress } from "../../../src/base/events.ts";
import { Loader } from "../../../src/engine/loader.ts";
import type { ImportRequest } from "../../../src/engine/loader.ts";
import { fakeLoader } from "../../support/fake-loader.ts";
import { nextTurn } from "../../support/fake-model.ts";

const NEVER = new AbortController().signal;
const ignore = (): void => undefined;

function hub(id: string): ImportRequest {
  const location = { kind: "hub", id, revision: "main" } as const;
  return { location, companions: {}, quantization: "q4" };
}

describe("Loader.importModel", () => {
  test("tells progress and what is stored", async () => {
    const seen: LoadProgress[] = [];
    const loader = new Loader(fakeLoader());
    const outcome = await loader.importModel(hub("a/b"), (event) => void seen.push(event), NEVER);
    expect(outcome).toMatchObject({ manifestKey: "a/b", alreadyStored: false });
    expect(seen).toMatchObject([{ phase: "download", loadedBytes: 3, totalBytes: 6 }]);
  });

  test("stores a model once when it is asked for twice at the same time", async () => {
    const loader = new Loader(fakeLoader());
    const both = [1, 2].map(() => loader.importModel(hub("a/b"), ignore, NEVER));
    const outcomes = await Promise.all(both);
    expect(outcomes.map(({ alreadyStored }) => alreadyStored)).toEqual([false, true]);
  });

  test("goes on with the next import when one is aborted or fails", async () => {
    const parts = fakeLoader();
    const loader = new Loader(parts);
    const controller = new AbortController();
    const slow = loader.importModel(hub("a/slow"), ignore, controller.signal);
    const missing = loader.importModel(hub("a/missing"), ignore, NEVER);
    const good = loader.importModel(hub("a/b"), ignore, NEVER);
    const outcomes = Promise.allSettled([slow, missing, good]);
    await nextTurn();
    controller.abort("stop");
    expect(await outcomes).toMatchObject([
      { reason: "stop" },
      { reason: { code: "download-failed" } },
      { value: { manifestKey: "a/b" } },
    ]);
  });
});

describe("Loader, the store", () => {
  test("deletes only after the import that is under way", async () => {
    const parts = fakeLoader();
    const loader = new Loader(parts);
    const stored = loader.importModel(hub("a/b"), ignore, NEVER);
    const removed = loader.removeModels("a/bq4", NEVER);
    await stored;
    expect(await removed).toBe(1);
    expect(await loader.listModels()).toEqual([]);
  });
});
