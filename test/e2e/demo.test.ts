// The demo page as a user has it: load, draw, stop, ask, load again, and what it says when a source is broken.
import { describe, expect, test } from "vitest";
import {
  draw,
  loadFrom,
  RANDOM_CHECKPOINT,
  startDrawing,
  startLoading,
  visitDemo,
} from "./demo-page.ts";

/** Requests for the bytes of a model's tensors. */
const WEIGHTS = /\.safetensors/;

describe("the demo", () => {
  test("loads a checkpoint, draws with it and answers about the picture", async () => {
    const { page, complaints } = await visitDemo();
    await loadFrom(page, { url: RANDOM_CHECKPOINT, backend: "webgpu" });
    await draw(page, "a red circle", 2);
    const picture = page.locator("#gallery canvas").first();
    expect(await picture.evaluate((canvas: HTMLCanvasElement) => canvas.width)).toBeGreaterThan(1);
    await page.getByRole("button", { name: "Ask about it" }).click();
    await page.getByLabel("Question", { exact: true }).fill("what is this");
    await page.getByRole("button", { name: "Ask", exact: true }).click();
    await page.getByText(/\d+ tokens?,/).waitFor();
    expect(complaints).toEqual([]);
  });

  test("a drawing that is cancelled leaves the model ready for the next one", async () => {
    const { page, complaints } = await visitDemo();
    await loadFrom(page, { url: RANDOM_CHECKPOINT });
    await startDrawing(page, "a red circle", 1000);
    await page.getByText(/Step \d+ of 1000/).waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("Cancelled.").waitFor();
    expect(await page.locator("#gallery figure").count()).toBe(0);
    await draw(page, "a blue square", 2);
    expect(complaints).toEqual([]);
  });

  test("a load that is cancelled can be started again", async () => {
    let isSlow = true;
    const { page } = await visitDemo({
      intercept: ({ url }) => isSlow && WEIGHTS.test(url ?? ""), // never answered
    });
    await startLoading(page, { url: RANDOM_CHECKPOINT });
    await page.locator("#load-cancel").click();
    await page.getByText("Cancelled.").waitFor();
    isSlow = false;
    await loadFrom(page, { url: RANDOM_CHECKPOINT });
  });

  test("a second load asks the network for no weights", async () => {
    const { page, server } = await visitDemo();
    await loadFrom(page, { url: RANDOM_CHECKPOINT });
    expect(server.log.filter((line) => WEIGHTS.test(line))).not.toEqual([]);
    server.log.length = 0;
    await page.reload();
    await loadFrom(page, { url: RANDOM_CHECKPOINT });
    expect(server.log.filter((line) => WEIGHTS.test(line))).toEqual([]);
  });

  test("a stored model is listed and can be deleted", async () => {
    const { page } = await visitDemo();
    await loadFrom(page, { url: RANDOM_CHECKPOINT });
    await page.getByText("Stored models").click();
    await page.getByRole("button", { name: /^Delete .*golden/ }).click();
    await page.getByText("Nothing is stored.").waitFor();
  });
});

describe("a source that is broken", () => {
  test.each([
    ["a folder that is not there", "./nowhere/", /404/],
    ["no address at all", "not an address", /neither a hub id/],
  ])("%s is told in words", async (_, url, words) => {
    const { page } = await visitDemo();
    await startLoading(page, { url });
    const error = page.locator("#load-error");
    await error.waitFor();
    expect(await error.textContent()).toMatch(words);
    // The form is there again, to mend the address.
    await page.getByRole("button", { name: "Load model" }).waitFor();
  });

  test("a host that answers every path with a page is told in words", async () => {
    const { page } = await visitDemo({
      intercept(request, response) {
        if (!request.url?.startsWith("/spa/")) return false;
        response.setHeader("Content-Type", "text/html");
        response.end("<!doctype html><title>Not a model</title>");
        return true;
      },
    });
    await startLoading(page, { url: "./spa/" });
    const error = page.locator("#load-error");
    await error.waitFor();
    expect(await error.textContent()).toMatch(/config\.json/);
  });

  test("a family that is not known is named", async () => {
    const { page } = await visitDemo({
      intercept(request, response) {
        if (!request.url?.startsWith("/other/")) return false;
        response.setHeader("Content-Type", "application/json");
        response.end(JSON.stringify({ model_type: "some_other_model" }));
        return true;
      },
    });
    await startLoading(page, { url: "./other/" });
    const error = page.locator("#load-error");
    await error.waitFor();
    expect(await error.textContent()).toMatch(/some_other_model/);
  });
});
