// One random life of a page: runs that overlap, some aborted, on an engine whose devices, workers and reloads fail as
// a seed decides. What must hold whatever happens is checked at the end.
import { fail, ModelError } from "../../src/base/errors.ts";
import type { FakeFaults } from "./fake-model.ts";
import { endPages, load, pass, startClock } from "./supervised-page.ts";
import type { Page } from "./supervised-page.ts";

const RUNS = 4;
const ACTIONS = 8;
/** For each run four lives that get nowhere for ten minutes, and what comes between them: by then all is settled. */
const END_MS = RUNS * 4 * 700_000;
const PROMPTS = ["one", "second", "the third", "4"];
/** What a run may end with that nobody asked to stop. */
const CODES = new Set(["device-lost", "webgpu-unavailable", "out-of-memory"]);

interface Observed {
  readonly prompt: string;
  readonly controller: AbortController;
  written: string;
  outcome?: { readonly text: string } | { readonly error: unknown };
}

/** Lives one schedule. @throws Error that says which promise was broken */
export async function liveSchedule(seed: number): Promise<void> {
  const random = randomOf(seed);
  startClock();
  try {
    const page = await load({}, ...Array.from({ length: 12 }, () => faultsOf(random)));
    // The first life may stop, too.
    const runs: Observed[] = [];
    for (let action = 0; action < ACTIONS; action++) {
      act(page, runs, random);
      await pass(random() < 0.5 ? 1 + 20 * random() : 6_000 * random());
    }
    const isPending = (): boolean => runs.some(({ outcome }) => outcome === undefined);
    await pass(1_000);
    for (let time = 0; time < END_MS && isPending(); time += 30_000) await pass(30_000);
    checkRuns(runs);
    checkLives(page);
    await disposed(page);
  } finally {
    endPages();
  }
}

function faultsOf(random: () => number): FakeFaults {
  const kind = random();
  if (kind < 0.2) return { loadError: fail("webgpu-unavailable", "There is no adapter.") };
  if (kind < 0.4) return { stopAfter: Math.floor(4 * random()) };
  return kind < 0.5 ? { isOther: true } : {};
}

function act(page: Page, runs: Observed[], random: () => number): void {
  const kind = random();
  const last = runs.at(-1);
  if (kind < 0.5 && runs.length < RUNS) runs.push(begin(page, PROMPTS[runs.length] ?? ""));
  else if (kind < 0.6 && last) last.controller.abort(last);
  else if (kind < 0.8) page.fakes.at(-1)?.lose("a driver's reset");
  else if (kind < 0.9) page.engines.at(-1)?.crash("an exception");
  else page.engines.at(-1)?.hang();
}

function begin({ model }: Page, prompt: string): Observed {
  const controller = new AbortController();
  const seen: Observed = { prompt, controller, written: "" };
  const { signal } = controller;
  const run = model.generateText({ messages: [{ role: "user", content: prompt }], signal });
  void (async () => {
    try {
      for await (const { text } of run) seen.written += text;
      seen.outcome = { text: (await run).text };
    } catch (error) {
      seen.outcome = { error };
    }
  })();
  return seen;
}

function checkRuns(runs: readonly Observed[]): void {
  for (const { prompt, written, outcome, controller } of runs) {
    const label = `run "${prompt}"`;
    if (outcome === undefined) throw new Error(`${label} is still pending`);
    if ("text" in outcome) {
      const isWhole = outcome.text === prompt && written.toLowerCase() === prompt;
      if (!isWhole) throw new Error(`${label} told "${written}" and gave "${outcome.text}"`);
      continue;
    }
    if (!prompt.startsWith(written.toLowerCase())) {
      throw new Error(`${label} told "${written}" before it failed`);
    }
    const { error } = outcome;
    if (controller.signal.aborted && error === controller.signal.reason) continue;
    if (!ModelError.isModelError(error) || !CODES.has(error.code)) {
      throw new Error(`${label} ended with ${String(error)}`);
    }
  }
}

function checkLives({ fakes, engines, model }: Page): void {
  const alive = engines.filter(({ isTerminated }) => !isTerminated).length;
  if (alive > 1) throw new Error(`${alive} workers at the same time`);
  const { recoveries } = model.info;
  if (recoveries > engines.length - 1) throw new Error(`${recoveries} recoveries are too many`);
  for (const { log } of fakes) {
    let running = "";
    for (const line of log) {
      const [, what = "", prompt = ""] = /^(begin|end|abort|fail) (.*)$/.exec(line) ?? [];
      if (what === "begin" && running !== "") {
        throw new Error(`"${prompt}" began while "${running}" was running`);
      }
      if (what !== "") running = what === "begin" ? prompt : "";
    }
  }
}

async function disposed({ model, engines }: Page): Promise<void> {
  // A worker that hangs is given a real second.
  engines.at(-1)?.crash("the end");
  const disposal = model.dispose();
  await pass(30_000);
  await disposal;
  if (!engines.every(({ isTerminated }) => isTerminated)) throw new Error("a worker is left");
}

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
