// A page whose engine has several lives, over fake workers and a fake clock.
import type { LoadProgress } from "../../src/base/events.ts";
import { loadModel } from "../../src/client/load-model.ts";
import type { Model } from "../../src/client/model.ts";
import { Engine } from "../../src/engine/engine.ts";
import { Loader } from "../../src/engine/loader.ts";
import { FakeClock } from "./fake-clock.ts";
import { fakeLoader } from "./fake-loader.ts";
import type { FakeLoader } from "./fake-loader.ts";
import { fakeModel } from "./fake-model.ts";
import type { FakeFaults, FakeModel } from "./fake-model.ts";
import { fakeWorker } from "./fake-worker.ts";
import type { FakeWorker } from "./fake-worker.ts";

/** A page whose engine has had these lives so far. */
export interface Page {
  readonly model: Model;
  readonly engines: FakeWorker[];
  readonly fakes: FakeModel[];
  readonly progress: LoadProgress[];
  /** What its loaders did. */
  readonly stored: FakeLoader["log"];
}

const started: FakeWorker[] = [];

const clock = new FakeClock();

/** Before each test: the clock and the pictures of a page. */
export function startClock(): void {
  clock.install();
  Object.assign(globalThis, { ImageData: FakeImageData });
}

/** After each test: ends what is left. */
export function endPages(): void {
  clock.uninstall();
  Reflect.deleteProperty(globalThis, "ImageData");
  started.splice(0).forEach((worker) => worker.terminate());
}

/** Time passes; messages between threads are delivered meanwhile. */
export function pass(milliseconds: number): Promise<void> {
  return clock.pass(milliseconds);
}

class FakeImageData {
  readonly data: Uint8ClampedArray;
  constructor(data: Uint8ClampedArray) {
    this.data = data;
  }
}

/** Loads a model whose lives have these faults, one after the other; later ones have none. */
export async function load(...lives: readonly FakeFaults[]): Promise<Page> {
  const engines: FakeWorker[] = [];
  const fakes: FakeModel[] = [];
  const progress: LoadProgress[] = [];
  const start = (api: object): FakeWorker => {
    const worker = fakeWorker(api);
    started.push(worker);
    return worker;
  };
  const parts = fakeLoader();
  const workers = {
    loader: () => start(new Loader(parts)),
    engine() {
      const fake = fakeModel(lives[fakes.length]);
      fakes.push(fake);
      const worker = start(new Engine(fake));
      engines.push(worker);
      return worker;
    },
  };
  const onProgress = (event: LoadProgress): void => void progress.push(event);
  const loading = loadModel("a/b", { workers, onProgress });
  // A rejection is the test's own business.
  loading.catch(() => undefined);
  await pass(100);
  return { model: await loading, engines, fakes, progress, stored: parts.log };
}
