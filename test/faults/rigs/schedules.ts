// Simulated schedules: up to three tabs that load, delete and make room at the same time, on one store and one
// network, where requests fail, the disk fills up, the host changes a file, and tabs are frozen and killed. What
// must hold is at the end of the file.
import { ModelError } from "../../../src/base/errors.ts";
import type { KeyValue } from "../../../src/weights/key-value.ts";
import { memoryKeyValue } from "../../../src/weights/key-value.ts";
import type { Manifest } from "../../../src/weights/manifest.ts";
import { WeightStore } from "../../../src/weights/weight-store.ts";
import { FakeLocks } from "../../support/fake-locks.ts";
import type { Rig, RigResult } from "../rig.ts";
import { runSeeds } from "../rig.ts";
import { Network } from "../sim/network.ts";
import type { Models, SimModel } from "../sim/models.ts";
import { makeModels } from "../sim/models.ts";
import type { Shared } from "../sim/tab.ts";
import { Tab } from "../sim/tab.ts";
import { World } from "../sim/world.ts";
import { claim } from "../typed.ts";

const MAX_TABS = 3;
const MAX_ACTIONS = 3;
const WEEK_MS = 7 * 24 * 3600 * 1000;

/** What a run did, as far as a claim depends on it. */
interface Story {
  readonly shared: Shared;
  readonly models: Models;
  readonly tabs: Tab[];
  /** Names of what has begun and not ended, by tab. */
  readonly open: Map<Tab, string>;
  readonly failures: unknown[];
  readonly loaded: Set<SimModel>;
  /** Somebody deleted something: acknowledged shards may be gone. */
  hasDeleted: boolean;
  /** Something went wrong that costs bytes. */
  isDisturbed: boolean;
}

async function tell(models: Models, seed: number): Promise<Story> {
  const world = new World(seed);
  const network = new Network(world, models.files);
  const shared: Shared = {
    world,
    network,
    rows: memoryKeyValue(),
    locks: world.chance(70) ? new FakeLocks() : undefined,
    acknowledged: new Set(),
    lost: new Set(),
    isFull: false,
    accidents: 0,
  };
  const isQuiet = world.chance(25);
  network.faults = !isQuiet && world.chance(50) ? 10 : 0;
  shared.accidents = !isQuiet && world.chance(20) ? 1 : 0;
  const story: Story = {
    shared,
    models,
    tabs: [],
    open: new Map(),
    failures: [],
    loaded: new Set(),
    hasDeleted: false,
    isDisturbed: network.faults > 0 || shared.accidents > 0 || !shared.locks,
  };
  await world.rule(async () => {
    for (let tab = 0; tab <= world.random(MAX_TABS); tab++) begin(story, `tab${tab}`);
    await world.run(() => (isQuiet ? undefined : disturb(story)));
    checkRest(story);
    await end(story);
  });
  return story;
}

function begin(story: Story, name: string): void {
  const { world } = story.shared;
  const tab = new Tab(name, story.shared);
  story.tabs.push(tab);
  const live = async (): Promise<void> => {
    // Most pages are opened while others are at work.
    for (let step = world.random(250); step > 0; step--) await world.step("user");
    await act(story, tab, "orphans", () => tab.store.removeOrphans());
    for (let action = 0; action <= world.random(MAX_ACTIONS); action++)
      await chooseAction(story, tab);
  };
  world.start(tab.page, () => void live());
}

// Every call ends, and ends well or with an error that says why.
async function act(
  story: Story,
  tab: Tab,
  what: string,
  work: () => Promise<unknown>,
): Promise<void> {
  story.open.set(tab, what);
  try {
    await work();
  } catch (error) {
    if (!ModelError.isModelError(error) && error !== STOPPED) story.failures.push(error);
  }
  story.open.delete(tab);
}

const STOPPED = new Error("the user stops");

function chooseAction(story: Story, tab: Tab): Promise<void> {
  const { world } = story.shared;
  const model = story.models.list[world.random(story.models.list.length)];
  if (!model) throw new Error("no model");
  const choice = world.random(10);
  if (choice < 7) return act(story, tab, `load ${model.name}`, () => load(story, tab, model));
  story.hasDeleted = true;
  story.isDisturbed = true;
  if (choice === 7) return act(story, tab, "remove", () => tab.store.remove(model.name));
  if (choice === 8)
    return act(story, tab, "room", () => tab.store.makeRoom(1 + world.random(9000)));
  return act(story, tab, "clear", () => tab.store.clear());
}

async function load(story: Story, tab: Tab, model: SimModel): Promise<void> {
  const { world } = story.shared;
  const stop = new AbortController();
  if (world.chance(15)) {
    story.isDisturbed = true;
    void stopLater(world, stop, world.random(150));
  }
  story.loaded.add(model);
  checkVersion(model, await tab.load(model, stop.signal));
}

async function stopLater(world: World, stop: AbortController, steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) await world.step("user");
  stop.abort(STOPPED);
}

function checkVersion({ name, versions }: SimModel, { shards }: Manifest): void {
  const isOne = versions.some((version) => JSON.stringify(version) === JSON.stringify(shards));
  claim(isOne, `${name} was stored as no version that the host had: two were mixed`);
}

// Now and then something happens to a page, the disk or the host.
function disturb(story: Story): void {
  const { shared, models, tabs } = story;
  const { world } = shared;
  if (world.random(1000) >= 10) return;
  story.isDisturbed = true;
  const tab = tabs[world.random(tabs.length)];
  switch (world.random(4)) {
    case 0:
      return tab?.die();
    case 1:
      if (tab) tab.page.frozenUntil = world.now + world.random(300_000);
      return;
    case 2:
      shared.isFull = !shared.isFull;
      return;
    default:
      story.hasDeleted = true; // shards of the old version are nobody's
      shared.network.replace(models.changed.path, models.changed.bytes);
  }
}

function checkRest({ shared, tabs, open, failures, loaded, models, ...story }: Story): void {
  const hanging = tabs.filter((tab) => !tab.page.isDead && open.has(tab));
  const names = hanging.map((tab) => `${tab.page.name} hangs in ${open.get(tab)}`);
  claim(hanging.length === 0, names.join("; "));
  if (failures.length > 0) throw failures[0];
  if (story.isDisturbed) return;
  const files = Object.entries(models.files).filter(([path]) =>
    [...loaded].some(({ name }) => path.startsWith(`/${name}/`)),
  );
  const bytes = files.reduce((sum, [, file]) => sum + file.length, 0);
  const { sentBytes } = shared.network;
  claim(sentBytes <= bytes * 1.05, `${sentBytes} bytes were fetched of files of ${bytes}`);
}

// When all is well again: nothing that was acknowledged is lost, everything loads, nothing is left behind.
async function end({ shared, models, hasDeleted }: Story): Promise<void> {
  const { world, rows, acknowledged, lost, network } = shared;
  [shared.isFull, shared.accidents, network.faults] = [false, 0, 0];
  const keys = new Set(await rows.keys());
  for (const key of acknowledged) if (!keys.has(key)) lost.add(key);
  claim(hasDeleted || lost.size === 0, `${lost.size} acknowledged shards are lost`);
  await checkInstalled(models, rows);
  const tab = new Tab("last", shared);
  let finished = false;
  let failure: unknown;
  const finish = async (): Promise<void> => {
    for (const model of models.list) {
      checkVersion(model, await tab.load(model, new AbortController().signal));
    }
    for (const { name } of models.list) await tab.store.remove(name);
    await tab.store.removeOrphans(Date.now() + WEEK_MS + 1);
    finished = true;
  };
  world.start(tab.page, () => void finish().catch((error: unknown) => (failure = error)));
  await world.run();
  if (failure !== undefined) throw failure;
  claim(finished, `the last tab hangs: ${world.log.slice(-5).join("; ")}`);
  const left = await rows.keys();
  claim(left.length === 0, `${left.length} rows are left: ${left.slice(0, 3).join(", ")}`);
}

// A model that is listed has all of its shards, whatever was deleted while it was stored.
async function checkInstalled({ list }: Models, rows: KeyValue): Promise<void> {
  const store = new WeightStore(rows, "memory");
  for (const { name } of list) {
    const manifest = await store.readManifest(name);
    for (const shard of manifest?.shards ?? []) await store.get(shard);
  }
}

async function run(count: number, seed: number): Promise<RigResult> {
  const models = await makeModels();
  let [steps, undisturbed] = [0, 0];
  const result = await runSeeds({ count, seed }, async (one) => {
    const { shared, isDisturbed } = await tell(models, one);
    steps += shared.world.log.length;
    if (!isDisturbed) undisturbed++;
  });
  return { ...result, seen: `${steps} steps, ${undisturbed} runs undisturbed` };
}

/** See the top of the file. */
export const rig: Rig = {
  name: "schedules",
  what: "simulated schedules of importer, store and locks",
  count: 10_000,
  slice: 60,
  allowed: "0 violated invariants",
  run,
};
