// How everything is built and tested.
//   vite build                  the package: dist/index.js, its workers and their wasm files
//   vite build --mode demo      the demo as a static site: demo/dist (also score and bench, for their runners)
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
    include: ["comlink", "idb-keyval", "@huggingface/tokenizers"],
    exclude: ["onnxruntime-web"],
  },
  server: {
    fs: { allow: [ROOT] },
    headers: {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    },
  },
  ...(PAGES[mode] ? pages(PAGES[mode]) : library()),
  test: { passWithNoTests: true, projects: [unit(), browser(), e2e()] },
}));

/** One ES module for the main thread; the workers and their wasm are files beside it, nothing is external. */
function library(): ViteUserConfig {
  return {
    build: {
      target: "es2023",
      sourcemap: true,
      minify: false,
      lib: { entry: { index: "src/index.ts" }, formats: ["es"] },
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
    test: { name: "unit", include: ["test/unit/**/*.test.ts", "test/*.test.ts"] },
  };
}

function browser() {
  return {
    extends: true as const,
    test: {
      name: "browser",
      include: ["test/browser/**/*.test.ts"],
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
