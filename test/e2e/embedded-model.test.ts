// The model that comes with the demo, and the command that shows it.
import { spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright";
import { expect, test } from "vitest";
import { checkDrawing } from "../score/check-drawing.ts";
import { ROOT } from "../support/set-up.mjs";
import { draw, loadFrom, visitDemo } from "./demo-page.ts";

const PROMPT = "a red circle left of a blue square";

test("the embedded model draws what it is asked for and says what it sees", async () => {
  const { page, complaints } = await visitDemo();
  await loadFrom(page);
  await page.locator("#draw-form summary").click();
  await page.getByLabel("Seed").fill("1");
  await draw(page, PROMPT, 30);
  const isAsAsked = checkDrawing(await drawnPixels(page), {
    groups: [
      { count: 1, shape: "circle", colour: "red" },
      { count: 1, shape: "square", colour: "blue" },
    ],
    place: null,
    relation: "left",
  });
  expect(isAsAsked).toBe(true);

  await page.getByRole("button", { name: "Ask about it" }).click();
  await page.getByLabel("Question", { exact: true }).fill("describe the picture");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText(/\d+ tokens/).waitFor();
  expect(await page.locator(".assistant").textContent()).toBe("a red circle and a blue square");
  expect(complaints).toEqual([]);
});

test("npm start -- --once draws, asks, keeps the picture and ends", async () => {
  const file = join(ROOT, "demo/out/a-red-circle-left-of-a-blue-square.png");
  rmSync(file, { force: true });
  const { code, output } = await run(process.execPath, "demo/start.mjs", "--once");
  expect(output).toContain(`"${PROMPT}"`);
  expect(output).toContain('-> "a red circle and a blue square"');
  expect(existsSync(file)).toBe(true);
  expect(code).toBe(0);
});

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
