import { afterEach, describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import type { Checkpoint } from "../../../src/weights/checkpoint.ts";
import { openCheckpoint, readSideFiles } from "../../../src/weights/checkpoint.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import type { Fault, FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { safetensorsFile, textFile } from "../../support/tiny-checkpoint.ts";
import { oneTensor, torchFile } from "../../support/torch-file.ts";

const ONE = { dtype: "F32" as const, shape: [1], values: [1] };
const FIRST = safetensorsFile({ a: ONE, b: ONE });
const SECOND = safetensorsFile({ c: ONE });
const INDEX = { weight_map: { a: "s-1.safetensors", b: "s-1.safetensors", c: "s-2.safetensors" } };

let server: FaultServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe("openCheckpoint", () => {
  test("reads a single file", async () => {
    const { tensors } = await open({ "model.safetensors": FIRST });
    expect([...tensors.keys()]).toEqual(["a", "b"]);
  });

  test("reads the file of a diffusers folder", async () => {
    const { tensors } = await open({ "diffusion_pytorch_model.safetensors": SECOND });
    expect(tensors.get("c")?.file).toBe("diffusion_pytorch_model.safetensors");
  });

  test("joins the files of an index", async () => {
    const { tensors } = await open(sharded(INDEX));
    expect([...tensors].map(([name, { file }]) => [name, file])).toEqual([
      ["a", "s-1.safetensors"],
      ["b", "s-1.safetensors"],
      ["c", "s-2.safetensors"],
    ]);
  });

  test.each([
    ["leaves the folder", { weight_map: { a: "../s.safetensors" } }],
    ["is absolute", { weight_map: { a: "/s.safetensors" } }],
    ["is on another host", { weight_map: { a: "https://evil.example/s.safetensors" } }],
    ["hides in an escape", { weight_map: { a: "%2e%2e/s.safetensors" } }],
    ["uses backslashes", { weight_map: { a: "..\\s.safetensors" } }],
    ["is no safetensors file", { weight_map: { a: "s.bin" } }],
    ["is no text", { weight_map: { a: 1 } }],
    ["is a folder up inside", { weight_map: { a: "x/../../s.safetensors" } }],
  ])("refuses an index whose path %s", async (_, index) => {
    await expect(open(sharded(index))).rejects.toMatchObject({ code: "checkpoint-invalid" });
    expect(server?.requests.some(({ path }) => /evil|\.\./.test(path))).toBe(false);
  });

  test.each([
    ["that is a list", []],
    ["without a map", { metadata: {} }],
    ["with a list for a map", { weight_map: ["a"] }],
    ["with __proto__", '{"weight_map":{"__proto__":"s-1.safetensors"}}'],
    ["that is cut", '{"weight_map":{"a":'],
    ["with a tensor that its file does not hold", { weight_map: { x: "s-1.safetensors" } }],
    ["of too many files", { weight_map: manyFiles(1001) }],
  ])("refuses an index %s", async (_, index) => {
    await expect(open(sharded(index))).rejects.toMatchObject({ code: "checkpoint-invalid" });
  });

  test("names a shard that is not there", async () => {
    const files = { ...sharded(INDEX), "s-2.safetensors": undefined };
    await expect(open(files)).rejects.toThrow(/404 .*s-2\.safetensors/);
  });

  test("reads a PyTorch archive", async () => {
    const { tensors } = await open({ "pytorch_model.bin": torchFile(oneTensor()) });
    expect(tensors.get("w")).toMatchObject({ file: "pytorch_model.bin", dtype: "F32" });
  });

  test("prefers safetensors to a PyTorch archive beside them", async () => {
    const files = { "model.safetensors": FIRST, "pytorch_model.bin": torchFile(oneTensor()) };
    expect([...(await open(files)).tensors.keys()]).toEqual(["a", "b"]);
  });

  test("joins the PyTorch archives of an index", async () => {
    const weightMap = { weight_map: { w: "pytorch_model-00001-of-00001.bin" } };
    const { tensors } = await open({
      "pytorch_model.bin.index.json": textFile(weightMap),
      "pytorch_model-00001-of-00001.bin": torchFile(oneTensor()),
    });
    expect(tensors.get("w")?.file).toBe("pytorch_model-00001-of-00001.bin");
  });

  test("says what is wrong with a PyTorch archive", async () => {
    await expect(open({ "pytorch_model.bin": textFile("PK") })).rejects.toThrow(
      /pytorch_model\.bin has no end of a zip archive/,
    );
  });

  test("says what it looked for when there is nothing", async () => {
    await expect(open({})).rejects.toThrow(/holds no weights: looked for model\.safetensors/);
  });

  test("finds weights on a host that answers every path with a page", async () => {
    const files = { "diffusion_pytorch_model.safetensors": SECOND, "model.safetensors": FIRST };
    const pages: Fault = { kind: "html", file: "/model.safetensors" };
    expect((await open(files, pages)).tensors.size).toBe(1);
  });

  test("does not take a failing server for a missing file", async () => {
    const failing: Fault = { kind: "status", status: 500, file: "/model.safetensors" };
    await expect(open({ "model.safetensors": FIRST }, failing)).rejects.toMatchObject({
      code: "download-failed",
    });
  });
});

describe("openCheckpoint with further weight files", () => {
  const DECODER = { file: "decoder.bin", prefix: "decoder.", isRequired: true };

  test("puts their tensors under their prefix", async () => {
    const files = { "model.safetensors": FIRST, "decoder.bin": torchFile(oneTensor()) };
    const { tensors } = await openCheckpoint(await serve(files), { weightFiles: [DECODER] });
    expect([...tensors.keys()]).toEqual(["a", "b", "decoder.w"]);
    expect(tensors.get("decoder.w")?.file).toBe("decoder.bin");
  });

  test("needs no other weights", async () => {
    const source = await serve({ "ae.safetensors": SECOND });
    const ae = { file: "ae.safetensors", prefix: "", isRequired: true };
    const { tensors } = await openCheckpoint(source, { weightFiles: [ae] });
    expect([...tensors.keys()]).toEqual(["c"]);
  });

  test("leaves out those that are optional and not there", async () => {
    const source = await serve({ "model.safetensors": FIRST });
    const weightFiles = [{ ...DECODER, isRequired: false }];
    expect((await openCheckpoint(source, { weightFiles })).tensors.size).toBe(2);
  });

  test("asks for alternatives only where the usual files are not there", async () => {
    const weightFiles = [{ ...DECODER, isRequired: false, isAlternative: true }];
    const both = { "model.safetensors": FIRST, "decoder.bin": torchFile(oneTensor()) };
    const { tensors } = await openCheckpoint(await serve(both), { weightFiles });
    expect([...tensors.keys()]).toEqual(["a", "b"]);
    expect(server?.requests.some(({ path }) => path.endsWith("decoder.bin"))).toBe(false);
    await server?.close();
    const alone = await serve({ "decoder.bin": torchFile(oneTensor()) });
    expect([...(await openCheckpoint(alone, { weightFiles })).tensors.keys()]).toEqual([
      "decoder.w",
    ]);
  });

  test("names one that is required and not there", async () => {
    const source = await serve({ "model.safetensors": FIRST });
    const opening = openCheckpoint(source, { weightFiles: [DECODER] });
    await expect(opening).rejects.toThrow(/404 .*decoder\.bin/);
  });

  test("refuses two tensors of one name", async () => {
    const source = await serve({ "model.safetensors": FIRST, "more.safetensors": FIRST });
    const weightFiles = [{ file: "more.safetensors", prefix: "", isRequired: true }];
    await expect(openCheckpoint(source, { weightFiles })).rejects.toThrow(
      /"a" is both in model\.safetensors and in more\.safetensors/,
    );
  });
});

describe("readSideFiles", () => {
  test("leaves out optional files that are not there", async () => {
    const source = await serve({ "config.json": textFile("{}") });
    const texts = await readSideFiles(source, [
      { name: "config.json", isRequired: true },
      { name: "processor_config.json", isRequired: false },
    ]);
    expect(texts).toEqual({ "config.json": "{}" });
  });

  test("names a required file that is not there", async () => {
    const source = await serve({});
    const reading = readSideFiles(source, [{ name: "config.json", isRequired: true }]);
    await expect(reading).rejects.toThrow(/config\.json/);
  });
});

type Files = Readonly<Record<string, Uint8Array | undefined>>;

async function serve(files: Files, ...faults: Fault[]) {
  const entries = Object.entries(files).flatMap(([name, bytes]) =>
    bytes ? [[`/m/${name}`, bytes] as const] : [],
  );
  server = await startFaultServer(Object.fromEntries(entries));
  server.use(...faults);
  const pause = async (): Promise<void> => undefined;
  return openSource(parseSource(`${server.url}/m`), { pause, attempts: 2 });
}

async function open(files: Files, ...faults: Fault[]): Promise<Checkpoint> {
  return openCheckpoint(await serve(files, ...faults));
}

function sharded(index: unknown): Files {
  return {
    "model.safetensors.index.json": textFile(index),
    "s-1.safetensors": FIRST,
    "s-2.safetensors": SECOND,
  };
}

function manyFiles(count: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`t${i}`, `s${i}.safetensors`]),
  );
}
