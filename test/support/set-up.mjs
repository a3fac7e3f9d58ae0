// Makes a fresh machine ready: the packages of package-lock.json and a Chromium. Uses only what Node has.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { platform } from "node:os";
import { join } from "node:path";
import { provideChromium } from "./chromium.mjs";

/** Folder of package.json. */
export const ROOT = join(import.meta.dirname, "../..");

const MIN_NODE = [20, 19];

/**
 * Installs what is missing. Afterwards CHROMIUM_PATH is set for this process and its children.
 *
 * @throws Error when Node is too old, or the packages or a Chromium cannot be installed
 */
export function setUp() {
  checkNode();
  if (arePackagesStale()) installPackages();
  process.env["CHROMIUM_PATH"] = provideChromium();
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_NODE;
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return;
  throw new Error(
    `Node ${MIN_NODE.join(".")} or newer is needed, this is ${process.versions.node}.`,
  );
}

/** True when a package of the lock file is absent from node_modules or has another version. */
function arePackagesStale() {
  const installed = packagesOf("node_modules/.package-lock.json");
  const wanted = packagesOf("package-lock.json");
  if (!wanted) throw new Error("package-lock.json is missing or unreadable.");
  return Object.entries(wanted).some(
    ([path, { version, optional, devOptional, peer, link }]) =>
      // Optional packages are those of other platforms.
      path !== "" &&
      !optional &&
      !devOptional &&
      !peer &&
      !link &&
      installed?.[path]?.version !== version,
  );
}

/**
 * @typedef {{ version?: string, optional?: boolean, devOptional?: boolean, peer?: boolean, link?: boolean }} LockedPackage
 * @param {string} file
 * @returns {Record<string, LockedPackage> | undefined}
 */
function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(join(ROOT, file), "utf8")).packages;
  } catch {
    return undefined;
  }
}

function installPackages() {
  console.log("> npm ci");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: ROOT,
    stdio: "inherit",
    shell: platform() === "win32", // npm is npm.cmd there
  });
  if (status !== 0) throw new Error("npm ci failed: see its message above. Is there a network?");
}
