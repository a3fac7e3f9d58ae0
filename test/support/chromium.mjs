// Which Chromium the tests, the main job and the benchmarks run in, and how it is started. Uses only
// what Node has: it also runs before anything is installed.
import { spawnSync } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { homedir, platform } from "node:os";
import { delimiter, join } from "node:path";

// The first Chromium with WebGPU on SwiftShader in the new headless mode, subgroups apart.
const MIN_MAJOR_VERSION = 124;

/**
 * Command line of every Chromium we start. Without a GPU (default) WebGPU runs on SwiftShader;
 * `WEB_UMM_GPU=1` takes the machine's own.
 */
export function chromiumArguments() {
  return [
    "--no-sandbox", // containers and root have no user namespace to build one in
    "--disable-dev-shm-usage", // containers have little shared memory, and a tab dies where it ends
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    ...(process.env["WEB_UMM_GPU"] === "1"
      ? ["--enable-features=Vulkan", "--ignore-gpu-blocklist"]
      : ["--use-webgpu-adapter=swiftshader"]),
  ];
}

/**
 * What Playwright's `chromium.launch` and Vitest's provider need.
 *
 * @param {string | undefined} executablePath - default: what {@link findChromium} finds
 */
export function launchOptions(executablePath = findChromium()) {
  return {
    headless: true,
    args: chromiumArguments(),
    ...(executablePath === undefined ? {} : { executablePath }),
  };
}

/**
 * A Chromium that starts on this machine: CHROMIUM_PATH, an installed one, or one that Playwright
 * downloaded before. Installs nothing.
 *
 * @returns {string | undefined}
 */
export function findChromium() {
  const chosen = process.env["CHROMIUM_PATH"];
  if (chosen) return chosen;
  return [...installedPaths(), ...playwrightPaths()].find(starts);
}

/**
 * As {@link findChromium}, else installs one: Playwright's download, then the system's packages.
 *
 * @returns {string}
 * @throws Error that says what to do when there is no way
 */
export function provideChromium() {
  const found = findChromium();
  if (found !== undefined) return found;
  console.log("No Chromium on this machine: installing one.");
  for (const install of [installWithPlaywright, installWithApt]) {
    install();
    const path = findChromium();
    if (path !== undefined) return path;
  }
  throw new Error(
    `No Chromium ${MIN_MAJOR_VERSION} or newer was found, and neither Playwright nor apt-get could install one. ` +
      "Install Chrome or Chromium, or set CHROMIUM_PATH to its executable.",
  );
}

/** @returns {string[]} */
function installedPaths() {
  switch (platform()) {
    case "darwin":
      return ["Google Chrome", "Chromium", "Microsoft Edge"].flatMap((name) =>
        ["/Applications", join(homedir(), "Applications")].map((folder) =>
          join(folder, `${name}.app`, "Contents", "MacOS", name),
        ),
      );
    case "win32":
      return ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"].flatMap((variable) =>
        ["Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe"].map(
          (path) => join(process.env[variable] ?? "C:/", path),
        ),
      );
    default:
      return ["chromium", "google-chrome", "google-chrome-stable", "chromium-browser"].flatMap(
        (name) => (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)),
      );
  }
}

/** Full builds only: the headless shell has no WebGPU. @returns {string[]} */
function playwrightPaths() {
  const cache = {
    darwin: join(homedir(), "Library", "Caches", "ms-playwright"),
    win32: join(homedir(), "AppData", "Local", "ms-playwright"),
  }[/** @type {string} */ (platform())];
  const root =
    process.env["PLAYWRIGHT_BROWSERS_PATH"] ?? cache ?? join(homedir(), ".cache", "ms-playwright");
  const inside = [
    "chrome-linux64/chrome",
    "chrome-linux/chrome",
    "chrome-win64/chrome.exe",
    "chrome-win/chrome.exe",
    ...["chrome-mac-arm64", "chrome-mac-x64", "chrome-mac"].flatMap((folder) => [
      `${folder}/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing`,
      `${folder}/Chromium.app/Contents/MacOS/Chromium`,
    ]),
  ];
  return listed(root)
    .filter((name) => /^chromium-\d+$/.test(name))
    .toSorted((a, b) => Number(b.slice(9)) - Number(a.slice(9)))
    .flatMap((name) => inside.map((path) => join(root, name, path)));
}

/** @param {string} folder */
function listed(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/**
 * True when the file is a Chromium that runs here and is new enough: Ubuntu's `chromium-browser` is a
 * script that only asks for snap, and a download may lack libraries of the system.
 *
 * @param {string} path
 */
function starts(path) {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return false;
  }
  // Chrome on Windows opens a window when it is asked for its version.
  if (platform() === "win32") return true;
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 30_000 });
  const major = /(?:Chrom|Edge)\D*(\d+)\./.exec(stdout ?? "")?.[1];
  return Number(major) >= MIN_MAJOR_VERSION;
}

function installWithPlaywright() {
  const cli = join(import.meta.dirname, "../../node_modules/playwright/cli.js");
  run(process.execPath, [cli, "install", "--no-shell", "chromium"]);
}

function installWithApt() {
  if (platform() !== "linux" || process.getuid?.() !== 0) return;
  run("apt-get", ["update"]);
  run("apt-get", ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]);
}

/**
 * @param {string} command
 * @param {string[]} parameters
 */
function run(command, parameters) {
  console.log(`> ${command} ${parameters.join(" ")}`);
  spawnSync(command, parameters, { stdio: "inherit", timeout: 900_000 });
}
