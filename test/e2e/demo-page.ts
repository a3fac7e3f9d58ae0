// The built demo in a Chromium of its own: what a user can do there, and what it asked the network for.
import { join } from "node:path";
import { chromium } from "playwright";
import type { BrowserContext, Page } from "playwright";
import { inject, onTestFinished } from "vitest";
import { launchOptions } from "../support/chromium.mjs";
import { ROOT } from "../support/set-up.mjs";
import { startStaticServer } from "../support/static-server.mjs";
import type { ServerOptions, StaticServer } from "../support/static-server.mjs";

/** A checkpoint of JanusFlow's layout with random weights, by its address on the demo's server. */
export const RANDOM_CHECKPOINT = "./golden/a/";

// Compiling for SwiftShader takes tens of seconds on a busy machine; a test ends after 180 s.
const PATIENCE_MS = 150_000;

/** Where a visitor's browser starts. */
export interface VisitOptions extends Pick<ServerOptions, "headers" | "intercept"> {
  readonly path?: string;
}

/** A visitor of the demo. */
export interface Visit {
  readonly page: Page;
  readonly server: StaticServer;
  /** Everything the page wrote as an error, and requests to other hosts. */
  readonly complaints: readonly string[];
}

/** Opens the demo in a fresh profile; both end with the test. */
export async function visitDemo({ path = "", ...options }: VisitOptions = {}): Promise<Visit> {
  const server = await startStaticServer({
    folders: {
      "/": inject("demoFolder"),
      "/golden/a/": join(ROOT, "test/golden/janus-flow/a/checkpoint"),
    },
    ...options,
  });
  onTestFinished(() => server.close());
  const browser = await chromium.launch(launchOptions());
  onTestFinished(() => browser.close());
  const context = await browser.newContext();
  const complaints = listenForComplaints(context, server.url);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(server.url + path);
  return { page, server, complaints };
}

/** What to load, and where to compute: WebGPU compiles for seconds in software, so most tests do without. */
export interface LoadChoice {
  /** Address of the folder; default: an embedded model. */
  readonly url?: string;
  /** Which embedded model, by its folder; default: the first. */
  readonly embedded?: string;
  /** Default: wasm. */
  readonly backend?: "webgpu" | "wasm";
}

/** Chooses a source and waits until it is loaded. */
export async function loadFrom(page: Page, choice: LoadChoice = {}): Promise<void> {
  await startLoading(page, choice);
  await page.locator("#loaded").waitFor();
}

/** Chooses a source and presses the button. */
export async function startLoading(
  page: Page,
  { url, embedded, backend = "wasm" }: LoadChoice = {},
): Promise<void> {
  if (url === undefined) {
    await page.getByLabel("Embedded", { exact: true }).check();
    if (embedded !== undefined) await page.locator("#embedded-model").selectOption(embedded);
  } else {
    await page.getByLabel("Address", { exact: true }).check();
    await page.getByLabel("Address of a folder").fill(url);
  }
  await page.getByLabel("Compute on").selectOption(backend);
  await page.getByRole("button", { name: "Load model" }).click();
}

/** Draws one picture and waits for it. */
export async function draw(page: Page, prompt: string, steps: number): Promise<void> {
  await startDrawing(page, prompt, steps);
  await page.getByRole("button", { name: "Download PNG" }).first().waitFor();
}

/** Presses Draw. */
export async function startDrawing(page: Page, prompt: string, steps: number): Promise<void> {
  await page.getByLabel("Prompt", { exact: true }).fill(prompt);
  await page.locator("details", { has: page.getByLabel("Steps") }).evaluate((details) => {
    details.setAttribute("open", "");
  });
  await page.getByLabel("Steps").fill(String(steps));
  await page.getByRole("button", { name: "Draw", exact: true }).click();
}

function listenForComplaints(context: BrowserContext, home: string): string[] {
  const complaints: string[] = [];
  context.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(error.error().message));
  context.on("request", (request) => {
    const url = request.url();
    if (/^https?:/.test(url) && !url.startsWith(home)) complaints.push(`request to ${url}`);
  });
  return complaints;
}
