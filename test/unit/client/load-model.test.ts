import { afterEach, describe, expect, test, vi } from "vitest";
import type { LoadProgress } from "../../../src/base/events.ts";
import { loadModel } from "../../../src/client/load-model.ts";
import type { LoadOptions } from "../../../src/client/load-options.ts";
import { Engine } from "../../../src/engine/engine.ts";
import { Loader } from "../../../src/engine/loader.ts";
import { fakeLoader } from "../../support/fake-loader.ts";
import type { FakeLoader } from "../../support/fake-loader.ts";
import { fakeInfo, fakeModel, nextTurn } from "../../support/fake-model.ts";
import { fakeWorker } from "../../support/fake-worker.ts";
import type { FakeWorker } from "../../support/fake-worker.ts";

interface Page {
  readonly options: LoadOptions;
  readonly loaders: FakeWorker[];
  readonly engines: FakeWorker[];
  readonly log: FakeLoader["log"];
}

const pages: Page[] = [];
afterEach(() => {
  vi.unstubAllGlobals();
  for (const { loaders, engines } of pages.splice(0)) {
    for (const worker of [...loaders, ...engines]) worker.terminate();
  }
});

/** A page whose workers are fakes. */
function page(): Page {
  const parts = fakeLoader();
  const loaders: FakeWorker[] = [];
  const engines: FakeWorker[] = [];
  const start = (started: FakeWorker[], api: object): FakeWorker => {
    const worker = fakeWorker(api);
    started.push(worker);
    return worker;
  };
  const workers = {
    loader: () => start(loaders, new Loader(parts)),
    engine: () => start(engines, new Engine(fakeModel())),
  };
  const made = { options: { workers }, loaders, engines, log: parts.log };
  pages.push(made);
  return made;
}

async function expectNoWorkers({ loaders, engines }: Page): Promise<void> {
  await vi.waitFor(() => {
    expect([...loaders, ...engines].filter(({ isTerminated }) => !isTerminated)).toEqual([]);
  });
}

describe("loadModel", () => {
  test("gives a model, and keeps only its engine", async () => {
    const { options, loaders, engines } = page();
    const model = await loadModel("a/b", options);
    expect(model.family).toBe("fake");
    expect(model.capabilities).toEqual(fakeInfo().capabilities);
    expect(model.info).toEqual(fakeInfo());
    await vi.waitFor(() => expect(loaders[0]?.isTerminated).toBe(true));
    expect(engines.map(({ isTerminated }) => isTerminated)).toEqual([false]);
  });

  test("tells the progress of the download, then of the engine", async () => {
    const { options } = page();
    const seen: LoadProgress[] = [];
    await loadModel("a/b", { ...options, onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ phase, loadedBytes }) => [phase, loadedBytes])).toEqual([
      ["download", 3],
      ["read", 0],
      ["read", 10],
      ["ready", 6],
    ]);
  });

  test("downloads once for two loads at the same time, and gives each its own model", async () => {
    const { options, loaders, engines } = page();
    const seen: LoadProgress[] = [];
    const onProgress = (progress: LoadProgress): void => void seen.push(progress);
    const load = (): ReturnType<typeof loadModel> => loadModel("a/b", { ...options, onProgress });
    const [first, second] = await Promise.all([load(), load()]);
    expect(first).not.toBe(second);
    expect(seen.filter(({ phase }) => phase === "download").length).toBe(1);
    expect(loaders.length).toBe(1);
    expect(engines.length).toBe(2);
  });

  test("downloads with the fetch of the application", async () => {
    const { options, log } = page();
    const urls: string[] = [];
    const fetch = async (url: string): Promise<Response> => {
      urls.push(url);
      return new Response("{}", { status: 203 });
    };
    await loadModel("a/b", { ...options, fetch });
    expect(urls).toEqual(["https://hub.example/config.json"]);
    expect(log).toContain("fetched 203");
  });

  test("repairs a damaged model and loads it again, once", async () => {
    const broken = page();
    const loading = loadModel("a/broken", broken.options);
    await expect(loading).rejects.toMatchObject({ code: "weights-corrupt", details: { shard: 3 } });
    expect(broken.log).toEqual(["import a/broken", "stored a/broken", "repair a/broken"]);
    expect(broken.engines.length).toBe(2);
    await expectNoWorkers(broken);
  });
});

describe("loadModel, with something to keep", () => {
  afterEach(() => void vi.resetModules());

  /** The library on a page that has asked for nothing yet, and what it asks the browser. */
  async function freshPage() {
    let answer: ((granted: boolean) => void) | undefined;
    const asked = new Promise<boolean>((resolve) => void (answer = resolve));
    const persist = vi.fn(() => asked);
    vi.stubGlobal("navigator", { storage: { persist } });
    vi.resetModules();
    const { loadModel: load } = await import("../../../src/client/load-model.ts");
    return { load, persist, answer: (granted: boolean) => answer?.(granted) };
  }

  test("asks the browser to keep it at the first byte of the first download", async () => {
    const { load, persist } = await freshPage();
    const { options } = page();
    const asked: [string, number][] = [];
    const onProgress = ({ phase }: LoadProgress): void => {
      asked.push([phase, persist.mock.calls.length]);
    };
    await load("a/b", { ...options, onProgress });
    expect(asked[0]).toEqual(["download", 1]);
    await load("a/b", { ...options, onProgress });
    await load("a/c", { ...options, onProgress });
    expect(persist).toHaveBeenCalledTimes(1);
  });

  test("asks nothing where all is stored", async () => {
    const { options } = page();
    await loadModel("a/b", options);
    const { load, persist } = await freshPage();
    await load("a/b", options);
    expect(persist).not.toHaveBeenCalled();
  });

  test.each([true, false])("tells the answer %s, also one that comes late", async (granted) => {
    const { load, answer } = await freshPage();
    const model = await load("a/b", page().options);
    expect(model.info.storage).toEqual({ kind: "indexeddb", isPersistent: false });
    answer(granted);
    await nextTurn();
    expect(model.info.storage).toEqual({ kind: "indexeddb", isPersistent: granted });
  });
});

describe("loadModel, refused", () => {
  test("tells caller mistakes before it starts a worker", async () => {
    const { options, loaders } = page();
    await expect(loadModel("no name", options)).rejects.toThrow(RangeError);
    const odd = Object.assign({ quantisation: "q4" }, options);
    await expect(loadModel("a/b", odd)).rejects.toThrow(/Did you mean quantization/);
    expect(loaders).toEqual([]);
  });

  test("refuses webgpu where there is none before it downloads", async () => {
    const { options, loaders } = page();
    const loading = loadModel("a/b", { ...options, backend: "webgpu" });
    await expect(loading).rejects.toMatchObject({
      code: "webgpu-unavailable",
      details: { reason: "no-webgpu" },
    });
    expect(loaders).toEqual([]);
  });

  test("rejects with the loader's error and leaves no worker", async () => {
    const made = page();
    const loading = loadModel("a/missing", made.options);
    await expect(loading).rejects.toMatchObject({
      code: "download-failed",
      details: { status: 404 },
    });
    expect(made.engines).toEqual([]);
    await expectNoWorkers(made);
  });

  test("rejects when a worker dies in the middle, and leaves none", async () => {
    const made = page();
    const loading = loadModel("a/slow", made.options);
    const outcome = expect(loading).rejects.toMatchObject({ code: "storage-unavailable" });
    await vi.waitFor(() => expect(made.log).toContain("import a/slow"));
    made.loaders[0]?.crash("out of memory");
    await outcome;
    await expectNoWorkers(made);
  });

  test("rejects with what its own listener throws, and leaves no worker", async () => {
    const made = page();
    const error = new TypeError("a mistake in the page");
    const onProgress = (): void => {
      throw error;
    };
    await expect(loadModel("a/b", { ...made.options, onProgress })).rejects.toBe(error);
    await expectNoWorkers(made);
  });
});

describe("loadModel, aborted", () => {
  test.each<[string, (made: Page) => boolean]>([
    ["before it begins", () => true],
    ["while its worker starts", ({ loaders }) => loaders.length === 1],
    ["while it downloads", ({ log }) => log.includes("import a/slow")],
  ])("rejects %s with the signal's own reason and leaves no worker", async (_, isTime) => {
    const made = page();
    const controller = new AbortController();
    const reason = { stopped: "by the user" };
    const abort = (): void => controller.abort(reason);
    if (isTime(made)) abort();
    const loading = loadModel("a/slow", { ...made.options, signal: controller.signal });
    const outcome = expect(loading).rejects.toBe(reason);
    await vi.waitFor(() => expect(isTime(made)).toBe(true), { interval: 1 });
    abort();
    await outcome;
    await expectNoWorkers(made);
  });

  test("rejects while the browser does not say whether there is a GPU", async () => {
    vi.stubGlobal("navigator", { gpu: { requestAdapter: () => new Promise(() => undefined) } });
    const { options, loaders } = page();
    const controller = new AbortController();
    const asked = { ...options, backend: "webgpu", signal: controller.signal } as const;
    const outcome = expect(loadModel("a/b", asked)).rejects.toBe("enough");
    await nextTurn();
    controller.abort("enough");
    await outcome;
    expect(loaders).toEqual([]);
  });

  test("rejects while the engine loads, and ends it", async () => {
    const made = page();
    const controller = new AbortController();
    const onProgress = ({ phase }: LoadProgress): void => {
      if (phase === "read") controller.abort("enough");
    };
    const options = { ...made.options, onProgress, signal: controller.signal };
    await expect(loadModel("a/b", options)).rejects.toBe("enough");
    await expectNoWorkers(made);
  });

  test("leaves another load of the same model alone", async () => {
    const made = page();
    const controller = new AbortController();
    const aborted = loadModel("a/b", { ...made.options, signal: controller.signal });
    const other = loadModel("a/b", made.options);
    const outcome = expect(aborted).rejects.toBe("enough");
    await nextTurn();
    controller.abort("enough");
    await outcome;
    expect((await other).family).toBe("fake");
  });
});

describe("a fetch of the application", () => {
  test.each<[string, (made: Page, controller: AbortController) => void]>([
    ["is aborted", (_, controller) => controller.abort("enough")],
    ["loses its loader", ({ loaders }) => loaders[0]?.crash("out of memory")],
  ])("ends with the load when that %s", async (_, happens) => {
    const made = page();
    const controller = new AbortController();
    const signals: AbortSignal[] = [];
    const fetch = (_url: string, { signal }: RequestInit): Promise<never> => {
      if (signal) signals.push(signal);
      return new Promise(() => undefined);
    };
    const loading = loadModel("a/b", { ...made.options, fetch, signal: controller.signal });
    const outcome = expect(loading).rejects.toBeDefined();
    await vi.waitFor(() => expect(signals.length).toBe(1));
    happens(made, controller);
    await outcome;
    expect(signals[0]?.aborted).toBe(true);
  });

  test.each<[string, string]>([
    ["is done", "a/b"],
    ["fails", "a/missing"],
  ])("keeps no answer open when the load %s", async (_, id) => {
    const { options } = page();
    const cancel = vi.fn();
    const fetch = async (): Promise<Response> => new Response(new ReadableStream({ cancel }));
    await loadModel(id, { ...options, fetch }).catch(() => undefined);
    expect(cancel).toHaveBeenCalledTimes(1);
  });
});
