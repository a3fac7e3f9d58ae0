// `npm run faults`: every fault rig at its full count, and one table. Ends with exit code 1 when a claim is broken.
//   --only NAME     rigs whose name begins so (may be repeated)
//   --count N       runs in place of each rig's own count
//   --seed N        first seed, default 1; each run has its own, printed when it fails
//   --json FILE     also writes the results
// A rig is a module of rigs/ that exports `rig` (see rig.ts): .ts files run in Node, .mjs files drive a browser.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { createServer } from "vite";
import { ROOT } from "../support/set-up.mjs";

const RIGS = join(import.meta.dirname, "rigs");
/** One run; those that drive a browser watch themselves. */
const RUN_LIMIT_MS = 60_000;

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    count: { type: "string" },
    seed: { type: "string", default: "1" },
    json: { type: "string" },
  },
});

const vite = await createServer({
  root: ROOT,
  configFile: false,
  logLevel: "error",
  appType: "custom",
  server: { middlewareMode: true, watch: null, hmr: false, ws: false },
  optimizeDeps: { noDiscovery: true },
});
const watchdog = await startWatchdog();
/** @type {Row[]} */
const rows = [];
try {
  for (const rig of await chosenRigs()) rows.push(await runRig(rig));
} finally {
  await watchdog.terminate();
  await vite.close();
}
printTable(rows);
if (values.json !== undefined) {
  mkdirSync(dirname(resolve(values.json)), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
}
// Ports between threads that a rig leaves open would keep the process.
process.exit(rows.length === 0 || rows.some(({ failures }) => failures > 0) ? 1 : 0);

/**
 * @typedef {import("./rig.ts").Rig} Rig
 * @typedef {{ name: string, what: string, seeds: string, runs: number, seen: string, failures: number, allowed: string, seconds: number }} Row
 * @returns {Promise<Rig[]>}
 */
async function chosenRigs() {
  const names = readdirSync(RIGS).filter((name) => /\.(ts|mjs)$/.test(name));
  const wanted = names.filter(
    (name) => values.only?.some((start) => name.startsWith(start)) ?? true,
  );
  if (wanted.length === 0) console.error(`No rig is called so, only ${names.join(", ")}.`);
  const rigs = [];
  for (const name of wanted.toSorted()) rigs.push(await loadRig(name));
  return rigs;
}

/** @param {string} name @returns {Promise<Rig>} */
async function loadRig(name) {
  const path = join(RIGS, name);
  const isNode = name.endsWith(".ts");
  const module = isNode ? await vite.ssrLoadModule(path) : await import(pathToFileURL(path).href);
  return module["rig"];
}

/** @param {Rig} rig @returns {Promise<Row>} */
async function runRig(rig) {
  const count = Number(values.count ?? rig.count);
  const seed = Number(values.seed);
  console.log(`${rig.name}: ${rig.what}, ${count} from seed ${seed}`);
  const started = performance.now();
  const { runs, failures, seen = "" } = await rig.run(count, seed);
  const seconds = (performance.now() - started) / 1000;
  for (const failure of failures) {
    console.log(`  FAILED: npm run faults -- --only ${rig.name} --seed ${failure.seed} --count 1`);
    console.log(`  ${failure.what}`);
  }
  const { name, what, allowed } = rig;
  return {
    name,
    what,
    seeds: `${seed}..`,
    runs,
    seen,
    failures: failures.length,
    allowed,
    seconds,
  };
}

async function startWatchdog() {
  const buffer = new SharedArrayBuffer(16);
  const { watched } = await vite.ssrLoadModule(join(import.meta.dirname, "rig.ts"));
  watched.state = new BigInt64Array(buffer);
  const workerData = { buffer, limitMs: RUN_LIMIT_MS };
  return new Worker(new URL("watchdog.mjs", import.meta.url), { workerData });
}

/** @param {readonly Row[]} results */
function printTable(results) {
  console.log("\n| rig | what | runs | seeds | seen | failed | allowed | s |");
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const { name, what, runs, seeds, seen, failures, allowed, seconds } of results) {
    const cells = [name, what, runs, seeds, seen, failures, allowed, seconds.toFixed(1)];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
