import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";

import { parseSource } from "../../../src/base/source-location.ts";
import { createFileSource } from "../../../src/weights/file-source.ts";
import { openSource } from "../../../src/weights/open-source.ts";
import { decodeFloats } from "../../../src/weights/quantize.ts";
import type { CheckpointSource } from "../../../src/weights/source.ts";
import type { TensorEntry } from "../../../src/weights/tensor-entry.ts";
import { readTorchArchive } from "../../../src/weights/torch-archive.ts";
import type { FaultServer } from "../../support/fault-server.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { oneTensor, pickle, pickledTensor, torchFile } from "../../support/torch-file.ts";

const GOLDEN = new URL("../../golden/torch-archive/", import.meta.url);
const FLAT = golden("flat.bin");

type Golden = Record<string, { dtype: string; shape: number[]; values: number[] }>;
const EXPECTED = JSON.parse(readFileSync(new URL("tensors.json", GOLDEN), "utf8")) as Golden;
const DTYPES: Readonly<Record<string, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  uint8: "U8",
  bool: "BOOL",
  float8_e4m3fn: "F8_E4M3",
};

let server: FaultServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe("readTorchArchive", () => {
  test.each(["flat.bin", "protocol-4.bin", "repacked.bin"])(
    "finds what torch wrote: %s",
    async (name) => {
      const bytes = golden(name);
      const tensors = await read(bytes);
      expect([...tensors.keys()].toSorted()).toEqual(Object.keys(EXPECTED).toSorted());
      for (const [key, { dtype, shape, values }] of Object.entries(EXPECTED)) {
        const entry = tensors.get(key);
        expect(entry, key).toMatchObject({ dtype: DTYPES[dtype], shape });
        if (entry && entry.fault === undefined) expect(valuesOf(entry, bytes), key).toEqual(values);
      }
    },
  );

  test("marks views whose strides are their own, and only those", async () => {
    const faults = [...(await read(FLAT))].filter(([, { fault }]) => fault !== undefined);
    expect(faults.map(([name]) => name)).toEqual(["transposed", "expanded"]);
    expect(faults[0]?.[1].fault).toContain("is a view with strides [1, 3]");
  });

  test("reads tensors that share a storage from the same bytes", async () => {
    const tensors = await read(FLAT);
    const [shared, again, rows] = ["shared", "shared.again", "shared.rows"].map((name) =>
      tensors.get(name),
    );
    expect(again).toEqual(shared);
    expect(rows?.start).toBe((shared?.start ?? 0) + 6 * 4);
  });

  test.each([
    ["training.ckpt", ["bias", "weight"]],
    ["model.pt", ["bias", "weight"]],
    ["module.pth", ["bias", "weight"]],
  ])("finds the weights in %s", async (name, keys) => {
    const bytes = golden(name);
    const tensors = await read(bytes);
    expect([...tensors.keys()].toSorted()).toEqual(keys);
    const weight = tensors.get("weight");
    expect(weight && valuesOf(weight, bytes)[0]).toBe(-1);
  });

  test("refuses what would run code, by its name, and runs nothing", async () => {
    await expect(read(golden("evil.bin"))).rejects.toThrow(
      /imports "(__builtin__|builtins)\.print"/,
    );
  });

  test.each([
    ["legacy.bin", /older than 1\.6/],
    ["no-tensors.bin", /holds no tensors by name/],
  ])("says what is wrong with %s", async (name, message) => {
    await expect(read(golden(name))).rejects.toThrow(message);
  });

  test("reads an archive whose every number is a ZIP64 one", async () => {
    const bytes = torchFile(oneTensor(), { isWide: true });
    const entry = (await read(bytes)).get("w");
    expect(entry && valuesOf(entry, bytes)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("asks a server for little more than the ends of the file", async () => {
    const big = { name: "archive/data/0", bytes: new Uint8Array(4 * 600_000) };
    const many = pickle.whole(
      pickle.dict([
        pickle.text("w"),
        pickledTensor({ elements: 600_000, shape: [600_000], strides: [1] }),
      ]),
    );
    const tensors = await serve(torchFile(many, { parts: [big] }));
    expect(tensors.get("w")?.shape).toEqual([600_000]);
    expect(server?.requests.length).toBeLessThanOrEqual(2);
    expect(server?.sentBytes()).toBeLessThan(600_000);
  });

  test("says so when a server hides the size of the file", async () => {
    const source = createFileSource({
      name: "m",
      files: new Map([["m.bin", new File([FLAT], "m.bin")]]),
    });
    const blind: CheckpointSource = Object.create(source, {
      readPrefix: { value: async () => ({ bytes: new Uint8Array(FLAT), size: undefined }) },
    });
    await expect(readTorchArchive(blind, "m.bin")).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringContaining("Access-Control-Expose-Headers"),
    });
  });
});

function golden(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(name, GOLDEN)));
}

function read(bytes: Uint8Array): Promise<Map<string, TensorEntry>> {
  const file = new File([new Uint8Array(bytes)], "m.bin");
  const source = createFileSource({ name: "m", files: new Map([["m.bin", file]]) });
  return readTorchArchive(source, "m.bin");
}

async function serve(bytes: Uint8Array): Promise<Map<string, TensorEntry>> {
  server = await startFaultServer({ "/m/m.bin": bytes });
  return readTorchArchive(await openSource(parseSource(`${server.url}/m`)), "m.bin");
}

function valuesOf({ dtype, start, end }: TensorEntry, bytes: Uint8Array): number[] {
  const content = bytes.slice(start, end);
  switch (dtype) {
    case "F64":
      return [...new Float64Array(content.buffer)];
    case "F32":
    case "F16":
    case "BF16":
      return [...decodeFloats(content, dtype)];
    case "I64":
      return [...new BigInt64Array(content.buffer)].map(Number);
    case "F8_E4M3":
      return [...content].map(e4m3);
    default:
      return [...content];
  }
}

function e4m3(byte: number): number {
  const exponent = (byte >> 3) & 15;
  const fraction = byte & 7;
  const size = exponent === 0 ? (fraction / 8) * 2 ** -6 : (1 + fraction / 8) * 2 ** (exponent - 7);
  return byte & 128 ? -size : size;
}
