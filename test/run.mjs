// `npm test`: sets the machine up, runs every ring of tests, and ends with the line `N passed, N failed`.
// `npm test -- unit browser` runs only those rings.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setUp, ROOT } from "./support/set-up.mjs";

const RINGS = ["unit", "browser", "e2e"];

// A ring that hangs must not hang the machine that runs it: the slowest takes a third of this on two cores.
const RING_TIMEOUT_MS = 15 * 60_000;

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
 * Runs one Vitest project in a process of its own: a ring that crashes leaves the others alone.
 *
 * @param {string} ring
 * @returns {Promise<Count>}
 */
async function runRing(ring) {
  const report = join(ROOT, ".cache", "reports", `${ring}.json`);
  rmSync(report, { force: true });
  mkdirSync(join(ROOT, ".cache", "reports"), { recursive: true });
  const exitCode = await runVitest([
    "run",
    `--project=${ring}`,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  const count = readCount(report);
  // Vitest also fails for what is no test: a file that does not load, an unhandled rejection.
  if (exitCode !== 0 && count.failed === 0) count.failed = 1;
  return count;
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
      console.error(`Ended after ${RING_TIMEOUT_MS / 60_000} minutes.`);
      child.kill("SIGKILL");
    }, RING_TIMEOUT_MS);
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
 * @returns {Count}
 */
function readCount(report) {
  /** @type {FileResult[]} */
  let files = [];
  try {
    files = JSON.parse(readFileSync(report, "utf8")).testResults;
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const tests = files.flatMap((file) => file.assertionResults.map(({ status }) => status));
  const broken = files.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some(isFailed),
  );
  const passed = tests.filter((status) => status === "passed").length;
  const failed = tests.filter((status) => status === "failed").length + broken.length;
  return { passed, failed, skipped: tests.length - passed - (failed - broken.length) };
}

/** @param {{ status: string }} test */
function isFailed({ status }) {
  return status === "failed";
}
