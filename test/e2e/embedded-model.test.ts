// The model that comes with the demo, and the command that shows it.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright";
import { expect, test } from "vitest";
import { checkDrawing, showsExactly } from "../score/check-drawing.ts";
import type { DrawingSpec } from "../score/check-drawing.ts";
import { ROOT } from "../support/set-up.mjs";
import { draw, loadFrom, visitDemo } from "./demo-page.ts";
import { pngOf, recolourings } from "./held-out-edits.ts";

/** Prompts that the reference draws right, in f32; another precision may miss one of them. */
const COUNT = 6;

/** Edits that the reference does right. */
const EDITS = 4;

/** As "a red circle and two blue squares". */
const CAPTION = /^(?:a|two|three) \w+ \w+/;

interface ScoreItem {
  readonly prompt: string;
  readonly seed: number;
  readonly spec: DrawingSpec;
}

test("the embedded model draws what it is asked for and says what it sees", async () => {
  const { page, complaints } = await visitDemo();
  await loadFrom(page);
  await page.locator("#draw-form summary").click();
  const verdicts: string[] = [];
  for (const { prompt, seed, spec } of itemsThatAreDrawnRight()) {
    await page.getByLabel("Seed").fill(String(seed));
    await draw(page, prompt, 30);
    await page.getByText(`seed ${seed} `).waitFor();
    if (checkDrawing(await drawnPixels(page), spec)) verdicts.push(prompt);
  }
  expect(verdicts.length).toBeGreaterThanOrEqual(COUNT - 1);

  await page.getByRole("button", { name: "Ask about it" }).first().click();
  await page.getByLabel("Question", { exact: true }).fill("describe the picture");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText(/\d+ tokens?,/).waitFor();
  expect(await page.locator(".assistant").textContent()).toMatch(CAPTION);
  expect(complaints).toEqual([]);
});

test("an embedded model that edits changes what it is told to, and nothing else", async () => {
  const { page, complaints } = await visitDemo();
  await loadFrom(page, { embedded: "tiny-omnigen" });
  const verdicts: boolean[] = [];
  for (const { prompt, before, after, within } of recolourings("omnigen", EDITS)) {
    const file = { name: "before.png", mimeType: "image/png", buffer: pngOf(before) };
    await page.locator("#edited-picture-file").setInputFiles(file);
    await page.locator("#edited-remove-picture").waitFor();
    await page.getByLabel("Seed").evaluate((input: HTMLInputElement) => (input.value = "1"));
    await draw(page, prompt, 25);
    await page.locator("#gallery figure").nth(verdicts.length).waitFor();
    await page.locator("figure.pending").waitFor({ state: "detached" });
    verdicts.push(showsExactly(await drawnPixels(page), after, within));
  }
  expect(verdicts.filter(Boolean).length).toBeGreaterThanOrEqual(EDITS - 1);
  expect(complaints).toEqual([]);
});

test("npm start -- --once draws, asks, keeps the picture and ends", async () => {
  const file = join(ROOT, "demo/out/a-red-circle-left-of-a-blue-square.png");
  rmSync(file, { force: true });
  const { code, output } = await run(process.execPath, "demo/start.mjs", "--once");
  expect(output).toMatch(/"a red circle left of a blue square"\n.*-> .*\.png\n/);
  expect(output).toContain(`-> "a red circle and a blue square"`);
  expect(existsSync(file)).toBe(true);
  expect(code).toBe(0);
});

/** The first items of the score set, of different tasks, that the reference draws right. */
function itemsThatAreDrawnRight(): ScoreItem[] {
  const read = (file: string): unknown =>
    JSON.parse(readFileSync(join(ROOT, "test/score/janus-flow", file), "utf8"));
  const prompts = read("prompts.json") as readonly ScoreItem[];
  const { drawing } = read("reference.json") as { drawing: { verdicts: readonly boolean[] } };
  const right = prompts.filter((_, index) => drawing.verdicts[index]);
  return right.filter((_, index) => index % Math.floor(right.length / COUNT) === 0).slice(0, COUNT);
}

/** RGBA of the newest picture of the gallery. */
async function drawnPixels(page: Page): Promise<Uint8ClampedArray> {
  const canvas = page.locator("#gallery canvas").first();
  const bytes = await canvas.evaluate((element: HTMLCanvasElement) => {
    const context = element.getContext("2d");
    return [...(context?.getImageData(0, 0, element.width, element.height).data ?? [])];
  });
  return Uint8ClampedArray.from(bytes);
}

function run(
  command: string,
  ...parameters: string[]
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { cwd: ROOT });
    let output = "";
    const collect = (data: Buffer): void => void (output += data.toString());
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", reject);
    child.on("exit", (code) => resolve({ code, output }));
  });
}
