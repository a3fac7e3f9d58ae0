// What a fault rig is: many runs of the same claim under damage that a seed decides. A failure names its seed,
// and the same seed fails again: `npm run faults -- --only NAME --seed SEED --count 1`.

/** A run that broke the claim. */
export interface Failure {
  readonly seed: number;
  /** What was seen. */
  readonly what: string;
}

/** What came out of the runs. */
export interface RigResult {
  /** Runs, or injected faults where the rig counts those. */
  readonly runs: number;
  readonly failures: readonly Failure[];
  /** What else was counted, for the table. */
  readonly seen?: string;
}

/** A module of `rigs/` exports one as `rig`. Rigs for Node are .ts files, those that drive a browser .mjs files. */
export interface Rig {
  readonly name: string;
  /** The row of the table: what is done to what. */
  readonly what: string;
  /** Runs of `npm run faults`. */
  readonly count: number;
  /** Runs of `npm test`. */
  readonly slice: number;
  /** What must come out, for the table. */
  readonly allowed: string;
  /** Runs the seeds `seed`, `seed + 1`, ... */
  run(count: number, seed: number): Promise<RigResult>;
}

/** Longest time of the processor that a run may take that answers; the watchdog of run.mjs ends the others. */
const SLOW_MS = 1_000;

/** Failures after which a rig stops: they are repeated one by one. */
const MAX_FAILURES = 20;

/** Options of {@link runSeeds}. */
export interface SeedOptions {
  readonly count: number;
  readonly seed: number;
  /** Milliseconds of the processor: a machine that is busy is nobody's fault. Default: none. */
  readonly slowMs?: number;
}

/** Runs `one` for each seed; whatever it throws is a failure, and so is an unhandled rejection. */
export async function runSeeds(
  { count, seed, slowMs = Infinity }: SeedOptions,
  one: (seed: number) => Promise<void> | void,
): Promise<Pick<RigResult, "runs" | "failures">> {
  const failures: Failure[] = [];
  let current = seed;
  const note = (error: unknown): void =>
    void failures.push({ seed: current, what: describe(error) });
  process.on("unhandledRejection", note);
  try {
    for (; current < seed + count && failures.length < MAX_FAILURES; current++) {
      watched.begin(current);
      const started = process.cpuUsage();
      try {
        await one(current);
        checkPrototypes();
      } catch (error) {
        note(error);
      }
      const used = process.cpuUsage(started);
      const ms = (used.user + used.system) / 1000;
      if (ms > slowMs) note(new Error(`took ${Math.round(ms)} ms`));
    }
    await new Promise((resolve) => setImmediate(resolve)); // unhandled rejections are told late
  } finally {
    process.off("unhandledRejection", note);
    watched.end();
  }
  return { runs: current - seed, failures };
}

/** {@link runSeeds} for readers: no run may take longer than a second. */
export function runFuzz(
  options: SeedOptions,
  one: (seed: number) => Promise<void> | void,
): Promise<Pick<RigResult, "runs" | "failures">> {
  return runSeeds({ ...options, slowMs: SLOW_MS }, one);
}

/** Tells a watchdog in another thread which seed runs; see run.mjs. */
export const watched = {
  state: undefined as BigInt64Array | undefined,
  begin(seed: number): void {
    if (!watched.state) return;
    watched.state[0] = BigInt(seed);
    watched.state[1] = BigInt(Date.now());
  },
  end(): void {
    if (watched.state) watched.state[1] = 0n;
  },
};

function checkPrototypes(): void {
  for (const prototype of [Object.prototype, Array.prototype, String.prototype]) {
    const added = Object.keys(prototype);
    if (added.length > 0) throw new Error(`a prototype was polluted: ${added.join(", ")}`);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = (error.stack ?? "").split("\n").find((line) => line.includes("/src/")) ?? "";
  return `${error.name}: ${error.message.slice(0, 400)} ${place.trim()}`.trim();
}
