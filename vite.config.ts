// How everything is built and tested.
//   vite build --mode workers   the package's workers and their wasm files: dist/workers, dist/assets
//   vite build --mode client    the package's main thread: dist/index.js
//   vite build --mode cli       the command line, for Node: dist/cli (all three: npm run build)
//   vite build --mode demo      the demo as a static site: demo/dist (also score, bench, api, faults and storage, for their runners)
//   vitest --project <ring>     unit (Node), browser (Chromium), e2e (the built demo in Chromium)
import { cp, readdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { playwright } from "@vitest/browser-playwright";
import { defaultClientConditions } from "vite";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import type { ViteUserConfig } from "vitest/config";
import { launchOptions } from "./test/support/chromium.mjs";

const ROOT = import.meta.dirname;

// Pages that use the library as an application does; the mode chooses one.
const PAGES: Readonly<Record<string, { readonly root: string; readonly inputs: string[] }>> = {
  demo: { root: "demo", inputs: ["index.html", "main-job.html"] },
  score: { root: "test/score", inputs: ["index.html"] },
  bench: { root: "test/bench", inputs: ["index.html"] },
  api: { root: "test/e2e/api", inputs: ["index.html"] },
  faults: { root: "test/faults/browser", inputs: ["index.html"] },
  storage: { root: "test/faults/storage", inputs: ["index.html"] },
};

export default defineConfig(({ mode }) => ({
  base: "./", // assets are found beside the file that names them, wherever an application puts it
  resolve: {
    alias: { "web-umm": join(ROOT, "src/index.ts") },
    // onnxruntime-web without its wasm inlined: session/ort.ts names the files, so they stay files.
    conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions],
  },
  worker: { format: "es" },
  // A dependency that is found late makes the dev server reload the page, in the middle of a test.
  optimizeDeps: {
    include: ["comlink", "idb-keyval", "@huggingface/tokenizers", "hash-wasm"],
    exclude: ["onnxruntime-web"],
  },
  server: {
    fs: { allow: [ROOT] },
    headers: {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    },
  },
  ...buildOf(mode),
  test: { passWithNoTests: true, projects: [unit(), browser(), e2e()] },
}));

function buildOf(mode: string): ViteUserConfig {
  if (mode === "cli") return commandLine();
  return PAGES[mode] ? pages(PAGES[mode]) : library(mode === "client" ? CLIENT : WORKERS);
}

// Built one after the other, so that the main thread's file shares no chunk with the workers: what a page
// loads before it asks for a model is index.js alone.
const WORKERS = { "workers/engine": "workers/engine.ts", "workers/loader": "workers/loader.ts" };
const CLIENT = { index: "src/index.ts" };

/** A half of the package, everything inside, nothing external. */
function library(entry: Record<string, string>): ViteUserConfig {
  return {
    publicDir: false,
    build: {
      target: "es2023",
      sourcemap: true,
      emptyOutDir: entry === WORKERS, // they are built first
      lib: { entry, formats: ["es"] },
      rolldownOptions: {
        output: {
          chunkFileNames: "chunks/[name]-[hash].js",
          assetFileNames: "assets/[name][extname]",
          // Vite's own keeps the lines of a library.
          minify: { compress: true, mangle: true, codegen: { removeWhitespace: true } },
        },
      },
    },
    plugins: [workersAsEntries(), withoutOwnNames(), plainNames()],
  };
}

/** `npx web-umm`: what the loader worker does, without a browser. Needs nothing but Node. */
function commandLine(): ViteUserConfig {
  return {
    publicDir: false,
    build: {
      target: "node20",
      outDir: "dist/cli",
      sourcemap: false,
      minify: true,
      emptyOutDir: true,
      lib: { entry: { main: "src/cli/main.ts" }, formats: ["es"] },
      rolldownOptions: {
        platform: "node",
        external: /^node:/,
        output: { chunkFileNames: "[name]-[hash].js" },
      },
    },
  };
}

const SPAWN = /new Worker\(new URL\("\.\.\/\.\.\/workers\/(\w+)\.ts", import\.meta\.url\),/g;
const SPAWN_BUILT = /new BUILT_WORKER\("(\w+)",/g;

/**
 * Makes src/client/spawn.ts name the built workers, in the one form that the bundlers of applications know:
 * `new Worker(new URL("./workers/engine.js", import.meta.url), ...)`. Vite's own output nests two URLs, which
 * vite and webpack take for a plain file: they copy it without the chunks that it imports. The call is hidden
 * from vite while it builds, and so the workers are ordinary entries that share their chunks.
 */
function workersAsEntries(): Plugin {
  return {
    name: "workers-as-entries",
    apply: "build",
    enforce: "pre",
    transform(code, id) {
      if (!id.endsWith("src/client/spawn.ts")) return undefined;
      const hidden = code.replaceAll(SPAWN, 'new BUILT_WORKER("$1",');
      if (hidden.match(SPAWN_BUILT)?.length !== 2)
        this.error("spawn.ts no longer names 2 workers.");
      return { code: hidden, map: null };
    },
    renderChunk(code) {
      if (!code.includes("new BUILT_WORKER(")) return undefined;
      const url = 'new URL("./workers/$1.js", import.meta.url)';
      return { code: code.replaceAll(SPAWN_BUILT, `new Worker(${url},`), map: null };
    },
  };
}

const OWN_NAME = /new \w+\("ort\.[\w.]+\.mjs", ?import\.meta\.url\)\.href/;

/**
 * Removes the file name that onnxruntime-web's scripts have for themselves: they ask for it only from `file:`
 * addresses, but webpack looks for the file, which is not there, and fails the application's build.
 */
function withoutOwnNames(): Plugin {
  return {
    name: "without-own-names",
    apply: "build",
    transform(code, id) {
      if (!id.includes("onnxruntime-web") || !OWN_NAME.test(code)) return undefined;
      return { code: code.replace(OWN_NAME, "import.meta.url"), map: null };
    },
  };
}

const NAME_IN_BACKTICKS = /(import\(|new URL\()`([^`$\\]*)`/g;

/** Puts quotes around the names of files: the minifier prefers backticks, which not every bundler reads. */
function plainNames(): Plugin {
  return {
    name: "plain-names",
    apply: "build",
    generateBundle(_, bundle) {
      for (const output of Object.values(bundle)) {
        if (output.type !== "chunk") continue;
        output.code = output.code.replaceAll(NAME_IN_BACKTICKS, '$1"$2"');
      }
    },
  };
}

function pages({ root, inputs }: { root: string; inputs: string[] }): ViteUserConfig {
  return {
    root,
    appType: "mpa", // a file that is not there is a 404, not the start page
    publicDir: false,
    cacheDir: join(ROOT, "node_modules/.vite"),
    build: {
      target: "es2023",
      outDir: "dist",
      emptyOutDir: true,
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0, // data: addresses need a wider content security policy
      chunkSizeWarningLimit: 2000,
      rolldownOptions: { input: inputs.map((input) => join(ROOT, root, input)) },
    },
    plugins: [embeddedModels()],
  };
}

/** Copies the embedded models (folders of demo/models with a config.json) into the built demo. */
function embeddedModels(): Plugin {
  const from = join(ROOT, "demo/models");
  return {
    name: "embedded-models",
    apply: "build",
    async writeBundle({ dir }) {
      if (dir !== join(ROOT, "demo/dist") || !existsSync(from)) return;
      for (const name of await readdir(from)) {
        if (!existsSync(join(from, name, "config.json"))) continue;
        await cp(join(from, name), join(dir, "models", name), { recursive: true });
      }
    },
  };
}

function unit() {
  return {
    extends: true as const,
    test: {
      name: "unit",
      include: ["test/unit/**/*.test.ts", "test/*.test.ts"],
      testTimeout: 60_000, // whole imports under every fault, on a machine that is busy
    },
  };
}

function browser() {
  return {
    extends: true as const,
    test: {
      name: "browser",
      include: ["test/browser/**/*.test.ts"],
      testTimeout: 120_000, // compiling a model for SwiftShader, on a machine that is busy
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: launchOptions() }),
        instances: [{ browser: "chromium" as const }],
      },
    },
  };
}

function e2e() {
  return {
    extends: true as const,
    test: {
      name: "e2e",
      include: ["test/e2e/**/*.test.ts"],
      globalSetup: ["test/e2e/build-pages.ts"],
      fileParallelism: false, // each file starts a Chromium that computes on the CPU
      testTimeout: 180_000,
      hookTimeout: 180_000,
    },
  };
}
