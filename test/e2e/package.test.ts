// The packed package in an application of its own: its types hold, vite bundles it, and both workers start.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { chromium } from "playwright";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { launchOptions } from "../support/chromium.mjs";
import { ROOT } from "../support/set-up.mjs";
import { startStaticServer } from "../support/static-server.mjs";

const CHECKPOINT = join(ROOT, "test/golden/janus-flow/a/checkpoint");

const INDEX = '<!doctype html><script type="module" src="./main.ts"></script>';

/** What an application's developer writes; also plain JavaScript. */
const MAIN = `
  import { cache, loadModel } from "web-umm";
  await cache.clear();
  const model = await loadModel("./checkpoint/", { backend: "wasm", quantization: "f32" });
  const { images } = await model.generateImage({ prompt: "a red circle", steps: 1 });
  const [image] = images;
  if (!image) throw new Error("nothing was drawn");
  document.title = model.family + " " + (await image.toBlob()).type;
`;

const APPLICATION: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({ name: "application", private: true, type: "module" }),
  "index.html": INDEX,
  "main.ts": MAIN,
  "tsconfig.json": JSON.stringify({
    compilerOptions: {
      strict: true,
      module: "nodenext",
      target: "es2022",
      lib: ["es2024", "dom", "dom.iterable", "dom.asynciterable", "esnext.disposable"],
      types: [],
      noEmit: true,
      skipLibCheck: false,
    },
    include: ["main.ts"],
  }),
};

const folder = mkdtempSync(join(tmpdir(), "web-umm-application-"));

beforeAll(() => {
  for (const [file, text] of Object.entries(APPLICATION)) writeFileSync(join(folder, file), text);
  for (const part of ["workers", "client", "cli"]) {
    runTool("vite", "build", "--mode", part, "--logLevel=warn");
  }
  runTool("tsc", "-p", "src/tsconfig.json");
  installPacked();
  return () => rmSync(folder, { recursive: true });
});

test("the package holds what it should and no sources", () => {
  const installed = join(folder, "node_modules/web-umm");
  for (const file of ["README.md", "LICENSE", "dist/index.js", "dist/types/index.d.ts"]) {
    expect(existsSync(join(installed, file)), file).toBe(true);
  }
  expect(existsSync(join(installed, "src"))).toBe(false);
});

test("its types hold without skipLibCheck", () => {
  runTool("tsc", "-p", folder);
});

test("vite bundles it, and the built application loads a model and draws", async () => {
  runTool("vite", "build", folder, "--logLevel=warn");
  expect(await titleOf(join(folder, "dist"))).toBe("janus-flow image/png");
});

test("a page without a bundler imports it from its own host", async () => {
  const plain = join(folder, "plain");
  cpSync(join(folder, "node_modules/web-umm/dist"), join(plain, "web-umm"), { recursive: true });
  const script = MAIN.replace('"web-umm"', '"./web-umm/index.js"');
  writeFileSync(join(plain, "main.js"), script);
  writeFileSync(join(plain, "index.html"), INDEX.replace("main.ts", "main.js"));
  expect(await titleOf(plain)).toBe("janus-flow image/png");
});

test("its command line plans and converts, and a page loads what it converted", async () => {
  expect(runCommand("plan", CHECKPOINT)).toContain("files:checkpoint: janus-flow");
  const converted = join(folder, "converted");
  expect(runCommand("convert", CHECKPOINT, converted, "-q", "f32")).toContain("janus-flow");
  expect(existsSync(join(converted, "model.safetensors"))).toBe(false);
  expect(await titleOf(join(folder, "plain"), converted)).toBe("janus-flow image/png");
});

/** What `npx web-umm` writes, without any of our own modules in reach. */
function runCommand(...parameters: string[]): string {
  const program = join(folder, "node_modules/web-umm/dist/cli/main.js");
  return execFileSync(process.execPath, [program, ...parameters], {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** What a page in this folder ends with as its title, or its first error. */
async function titleOf(root: string, checkpoint = CHECKPOINT): Promise<string> {
  const server = await startStaticServer({ folders: { "/": root, "/checkpoint/": checkpoint } });
  onTestFinished(() => server.close());
  const browser = await chromium.launch(launchOptions());
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const failed = new Promise<string>((resolve) => {
    page.on("pageerror", ({ message }) => resolve(message));
  });
  await page.goto(server.url);
  const done = page.waitForFunction(() => document.title !== "", undefined, { timeout: 150_000 });
  return Promise.race([failed, done.then(() => page.title())]);
}

/** Runs one of our own tools in the repository. @throws with what it wrote when it fails */
function runTool(name: "vite" | "tsc", ...parameters: string[]): void {
  const paths = { vite: "vite/bin/vite.js", tsc: "typescript/bin/tsc" };
  const tool = join(ROOT, "node_modules", paths[name]);
  try {
    execFileSync(process.execPath, [tool, ...parameters], { cwd: ROOT, encoding: "utf8" });
  } catch (error) {
    throw new Error(`${name} failed: ${String(Object(error).stdout)}`, { cause: error });
  }
}

/** As `npm install` of the tarball would: npm itself would ask the registry for comlink. */
function installPacked(): void {
  const options = { cwd: ROOT, encoding: "utf8" } as const;
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], options);
  const target = join(folder, "node_modules/web-umm");
  mkdirSync(target, { recursive: true });
  const tarball = readdirSync(folder).find((file) => file.endsWith(".tgz")) ?? "";
  execFileSync("tar", ["xzf", join(folder, tarball), "--strip-components=1", "-C", target]);
  const comlink = join(folder, "node_modules/comlink");
  mkdirSync(dirname(comlink), { recursive: true });
  cpSync(join(ROOT, "node_modules/comlink"), comlink, { recursive: true });
}
