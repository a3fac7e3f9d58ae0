// `npm test`: sets the machine up, runs every ring of tests, and ends with the line `N passed, N failed`.
// `npm test -- unit browser` runs only those rings.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { partsOf } from "./support/rings.mjs";
import { setUp, ROOT } from "./support/set-up.mjs";

const RINGS = ["unit", "browser", "e2e"];

// A part that hangs must not hang the machine that runs it: the slowest takes a third of this on two cores.
const PART_TIMEOUT_MS = 15 * 60_000;

/** @typedef {{ passed: number, failed: number, skipped: number }} Count */

const asked = process.argv.slice(2);
const rings = asked.length > 0 ? asked : RINGS;
const total = { passed: 0, failed: 0, skipped: 0 };
try {
  const unknown = rings.find((ring) => !RINGS.includes(ring));
  if (unknown) throw new Error(`There is no ring "${unknown}", only ${RINGS.join(", ")}.`);
  setUp();
  for (const ring of rings) {
    const { passed, failed, skipped } = await runRing(ring);
    console.log(`${ring}: ${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  total.failed += 1;
}
if (total.skipped > 0) console.log(`${total.skipped} tests were skipped.`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

/**
 * @param {string} ring
 * @returns {Promise<Count>}
 */
async function runRing(ring) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const part of partsOf(ring, ROOT)) {
    let { count, isLost } = await runPart(ring, part);
    if (isLost) {
      console.error(`The browser went away while "${part.name}" ran: the same again, once.`);
      ({ count } = await runPart(ring, part));
    }
    sum.passed += count.passed;
    sum.failed += count.failed;
    sum.skipped += count.skipped;
  }
  return sum;
}

/**
 * Runs files of one Vitest project in a process of its own: one that crashes leaves the others alone.
 *
 * @param {string} ring
 * @param {import("./support/rings.mjs").RingPart} part
 * @returns {Promise<{ count: Count, isLost: boolean }>} isLost: nothing failed, but there are files without a result
 */
async function runPart(ring, { name, files, all }) {
  const report = join(ROOT, ".cache", "reports", `${name}.json`);
  rmSync(report, { force: true });
  mkdirSync(join(ROOT, ".cache", "reports"), { recursive: true });
  const exitCode = await runVitest([
    "run",
    ...(all ? [] : files),
    `--project=${ring}`,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  const { count, finished } = readReport(report);
  const isLost =
    ring === "browser" && exitCode !== 0 && count.failed === 0 && finished < files.length;
  // Vitest also fails for what is no test: a file that does not load, an unhandled rejection.
  if (exitCode !== 0 && count.failed === 0) count.failed = 1;
  return { count, isLost };
}

/**
 * @param {string[]} parameters
 * @returns {Promise<number>} the exit code; 1 when it was ended by a signal
 */
function runVitest(parameters) {
  const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [vitest, ...parameters], { cwd: ROOT, stdio: "inherit" });
    const timer = setTimeout(() => {
      console.error(`Ended after ${PART_TIMEOUT_MS / 60_000} minutes.`);
      child.kill("SIGKILL");
    }, PART_TIMEOUT_MS);
    child.on("error", reject);
    child.on("exit", (code) => {
      clearTimeout(timer);
      resolve(code ?? 1);
    });
  });
}

/**
 * @typedef {{ status: string, assertionResults: { status: string }[] }} FileResult
 * @param {string} report - file that Vitest's JSON reporter wrote, or did not
 * @returns {{ count: Count, finished: number }} finished: files whose tests all ran
 */
function readReport(report) {
  /** @type {FileResult[]} */
  let files = [];
  try {
    files = JSON.parse(readFileSync(report, "utf8")).testResults;
  } catch {
    return { count: { passed: 0, failed: 0, skipped: 0 }, finished: 0 };
  }
  const tests = files.flatMap((file) => file.assertionResults.map(({ status }) => status));
  const broken = files.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some(isFailed),
  );
  const passed = tests.filter((status) => status === "passed").length;
  const failed = tests.filter((status) => status === "failed").length + broken.length;
  const skipped = tests.length - passed - (failed - broken.length);
  const finished = files.filter(({ assertionResults }) => isFinished(assertionResults)).length;
  return { count: { passed, failed, skipped }, finished };
}

/** @param {{ status: string }} test */
function isFailed({ status }) {
  return status === "failed";
}

/**
 * A test that never ran is "pending", one that is skipped on purpose "skipped".
 *
 * @param {{ status: string }[]} tests
 */
function isFinished(tests) {
  return tests.length > 0 && tests.every(({ status }) => status !== "pending");
}
