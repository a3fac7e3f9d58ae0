// What the page that embeds the library may demand: a strict content security policy, cross-origin isolation
// or none, and that nothing comes from another host.
import { describe, expect, test } from "vitest";
import { ISOLATION_HEADERS, STRICT_POLICY_HEADERS } from "../support/static-server.mjs";
import { draw, loadFrom, RANDOM_CHECKPOINT, visitDemo } from "./demo-page.ts";

describe("the library draws", () => {
  test.each([
    ["under a strict content security policy", STRICT_POLICY_HEADERS, "webgpu"],
    ["on a cross-origin isolated page", ISOLATION_HEADERS, "wasm"],
  ] as const)("%s, from its own host alone", async (_, headers, backend) => {
    const { page, complaints } = await visitDemo({ headers });
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(headers === ISOLATION_HEADERS);
    await loadFrom(page, { url: RANDOM_CHECKPOINT, backend });
    await draw(page, "a red circle", 2);
    expect(complaints).toEqual([]);
  });
});
