// What may lie between a page and its model: no network at all, a service worker of the application, another origin.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { chromium } from "playwright";
import type { Page } from "playwright";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { buildPage } from "../support/build-page.mjs";
import { launchOptions } from "../support/chromium.mjs";
import { ROOT } from "../support/set-up.mjs";
import { startStaticServer } from "../support/static-server.mjs";
import type { ServerOptions, StaticServer } from "../support/static-server.mjs";

const MODEL = join(ROOT, "demo/models/tiny-janusflow");
const DRAWING = { seed: 3, steps: 2 };

let application: string;
let usual: string | undefined;

// Once, undisturbed: the picture that all others must be.
beforeAll(async () => {
  application = buildPage("api");
  const host = await startStaticServer({ folders: { "/": application, "/model/": MODEL } });
  const browser = await chromium.launch(launchOptions());
  const page = await browser.newPage();
  await page.goto(host.url);
  usual = (await loadAndDraw(page, "./model/")).picture;
  expect(usual).toBeDefined();
  await browser.close();
  await host.close();
});

test("a stored model loads and draws with the network off, and asks for nothing", async () => {
  const models = await serve({ folders: { "/": MODEL }, headers: CORS });
  const { page, host } = await visit({ "/service-worker.js": KEEPS_THE_APPLICATION });
  await startServiceWorker(page);
  await page.reload(); // now all of the page goes through its service worker
  expect(await loadAndDraw(page, models.url)).toEqual({ picture: usual });
  const asked = models.log.length;
  expect(asked).toBeGreaterThan(0);

  await page.context().setOffline(true);
  await host.close();
  await page.reload();
  expect(await page.evaluate(() => navigator.onLine)).toBe(false);
  expect(await loadAndDraw(page, models.url)).toEqual({ picture: usual });
  expect(models.log.slice(asked)).toEqual([]);
});

describe("a service worker of the application that answers a Range", () => {
  test("with the whole file: the model is the right one", async () => {
    const { page } = await visit({ "/service-worker.js": answersRanges("whole, 200") });
    await startServiceWorker(page);
    expect(await loadAndDraw(page, "./model/")).toEqual({ picture: usual });
  });

  test.each(["part", "whole"])("with 206 and the %s, of no range: that is told", async (body) => {
    const { page } = await visit({ "/service-worker.js": answersRanges(`${body}, 206`) });
    await startServiceWorker(page);
    expect(await loadAndDraw(page, "./model/")).toEqual({ error: "download-failed" });
  });
});

describe("a host of another origin", () => {
  test.each([
    ["exposes its headers", { "Access-Control-Expose-Headers": "*" }],
    ["hides its headers", {}],
  ])("that %s is asked by plain GETs alone", async (_, headers) => {
    const models = await serve({ folders: { "/": MODEL }, headers: { ...CORS, ...headers } });
    const { page } = await visit();
    expect(await loadAndDraw(page, models.url)).toEqual({ picture: usual });
    const methods = new Set(models.log.map((line) => line.split(" ")[0]));
    expect([...methods]).toEqual(["GET"]);
    expect(models.log.some((line) => line.includes(" bytes="))).toBe(true);
  });
});

const CORS = { "Access-Control-Allow-Origin": "*" };

/** As an application that can be installed does: what it has fetched of its own origin it keeps. */
const KEEPS_THE_APPLICATION = `
  addEventListener("install", () => skipWaiting());
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("fetch", (event) => {
    if (new URL(event.request.url).origin === location.origin) event.respondWith(answer(event.request));
  });
  async function answer(request) {
    const cache = await caches.open("application");
    const kept = await cache.match(request);
    if (kept) return kept;
    const fetched = await fetch(request);
    if (fetched.ok) await cache.put(request, fetched.clone());
    return fetched;
  }`;

/** As a cache does whose author did not think of ranges: "whole, 200", "whole, 206" or "part, 206". */
const answersRanges = (how: string): string => `
  addEventListener("install", () => skipWaiting());
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("fetch", (event) => {
    const range = event.request.headers.get("range");
    if (range) event.respondWith(answer(event.request.url, range));
  });
  async function answer(url, range) {
    const fetched = await fetch(url);
    if (!fetched.ok) return fetched;
    const file = await fetched.arrayBuffer();
    const [, first, last] = /^bytes=(\\d+)-(\\d+)$/.exec(range);
    const body = "${how}".startsWith("part") ? file.slice(Number(first), Number(last) + 1) : file;
    return new Response(body, { status: Number("${how}".slice(-3)) });
  }`;

/** What came of a load and a drawing: the hash of the picture, or the error's code. */
interface Outcome {
  readonly picture?: string;
  readonly error?: string;
}

async function loadAndDraw(page: Page, url: string): Promise<Outcome> {
  const { picture, ...rest } = await page.evaluate(
    async ([address, numbers]) => {
      try {
        const options = { backend: "wasm", quantization: "q8" } as const;
        await globalThis.application?.load(address, options);
      } catch (error) {
        const hasCode = error instanceof Error && "code" in error;
        return { error: hasCode ? String(error.code) : String(error) };
      }
      return { picture: await globalThis.application?.draw("a red circle", numbers) };
    },
    [url, DRAWING] as const,
  );
  if (picture === undefined) return rest;
  return { picture: createHash("sha256").update(Buffer.from(picture.data)).digest("hex") };
}

async function serve(options: ServerOptions): Promise<StaticServer> {
  const server = await startStaticServer(options);
  onTestFinished(() => server.close());
  return server;
}

/** Opens the application in a fresh profile, with these scripts beside it. */
async function visit(
  scripts: Readonly<Record<string, string>> = {},
): Promise<{ page: Page; host: StaticServer }> {
  const host = await serve({
    folders: { "/": application, "/model/": MODEL },
    intercept(request, response) {
      const script = scripts[request.url ?? ""];
      if (script === undefined) return false;
      response.writeHead(200, { "Content-Type": "text/javascript" });
      response.end(script);
      return true;
    },
  });
  const browser = await chromium.launch(launchOptions());
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  await page.goto(host.url);
  return { page, host };
}

async function startServiceWorker(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await navigator.serviceWorker.register("./service-worker.js");
    while (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
}
