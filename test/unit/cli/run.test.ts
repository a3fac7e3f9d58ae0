import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { run } from "../../../src/cli/run.ts";
import { startFaultServer } from "../../support/fault-server.ts";

const CHECKPOINT = fileURLToPath(new URL("../../golden/janus-flow/a/checkpoint", import.meta.url));

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "web-umm-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("run", () => {
  test.each([[[]], [["--help"]], [["help"]]])("explains itself for %j", async (parameters) => {
    const { code, out } = await call(...parameters);
    expect(code).toBe(0);
    expect(out).toContain("web-umm plan <model>");
  });

  test("plans a folder", async () => {
    const { code, out } = await call("plan", CHECKPOINT, "--memory", "8GB");
    expect(code).toBe(0);
    expect(out).toContain("files:checkpoint: janus-flow");
    expect(out).toContain("q4   runs, all stages at once");
  });

  test("plans a repository of a hub that holds no weights yet", async () => {
    const names = ["config.json", "vae/config.json", "processor_config.json"];
    const files = names.map((name) => {
      const bytes = new Uint8Array(readFileSync(join(CHECKPOINT, name)));
      return [`/tiny/janus-flow/resolve/v1/${name}`, bytes] as const;
    });
    const server = await startFaultServer(Object.fromEntries(files));
    const { code, out } = await call("plan", "tiny/janus-flow@v1", "--hub", server.url);
    await server.close();
    expect(code).toBe(0);
    expect(out).toContain("tiny/janus-flow@v1: janus-flow");
  });

  test("plans what the weights hold where they are there", async () => {
    const golden = new URL("../../golden/nexus-gen/", import.meta.url);
    const plans = ["v1", "v2"].map(async (version) => {
      const { out } = await call("plan", fileURLToPath(new URL(`${version}/checkpoint`, golden)));
      return out.includes("editing");
    });
    expect(await Promise.all(plans)).toEqual([false, true]);
  });

  test("plans as data", async () => {
    const { out } = await call("plan", CHECKPOINT, "--json");
    expect(JSON.parse(out)).toMatchObject({ family: "janus-flow", quantized: [{}, {}, {}] });
  });

  test("converts a folder, and tells how far it is", async () => {
    const { code, out, error } = await call("convert", CHECKPOINT, folder, "-q", "q8");
    expect(code).toBe(0);
    expect(out).toMatch(/^janus-flow, [\d.]+ [kM]B as q8, in /);
    expect(error).toMatch(/download 100 %/);
    expect(await readdir(folder)).toContain("web-umm-q8");
  });

  test.each([
    [["pla"], /no command "pla"/],
    [["plan"], /Usage: web-umm plan <model>/],
    [["plan", "./nowhere"], /There is no folder/],
    [["plan", CHECKPOINT, "--memory", "much"], /--memory is a size/],
    [["plan", CHECKPOINT, "--speed"], /Unknown option '--speed'/],
    [["convert", CHECKPOINT], /Usage: web-umm convert/],
    [["convert", CHECKPOINT, "out", "-q", "q2"], /--quantization is one of q4, q8, f16, f32/],
    [["convert", CHECKPOINT, "out", "--companion", "vae"], /--companion is <name>=<model>/],
  ])("refuses %j", async (parameters, message) => {
    const { code, error } = await call(...parameters);
    expect(code).toBe(2);
    expect(error).toMatch(message);
  });

  test("gives the code of what went wrong in the world", async () => {
    const { code, error } = await call("plan", folder);
    expect(code).toBe(1);
    expect(error).toMatch(/^download-failed: .*config\.json/);
  });
});

async function call(...parameters: string[]) {
  const texts = { out: "", error: "" };
  const code = await run(parameters, {
    out: (text) => void (texts.out += text),
    error: (text) => void (texts.error += text),
  });
  return { code, ...texts };
}
