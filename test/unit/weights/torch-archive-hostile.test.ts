import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { ModelError } from "../../../src/base/errors.ts";
import { createFileSource } from "../../../src/weights/file-source.ts";
import type { TensorEntry } from "../../../src/weights/tensor-entry.ts";
import { readTorchArchive } from "../../../src/weights/torch-archive.ts";
import { concatenated } from "../../support/tiny-checkpoint.ts";
import { oneTensor, pickle, pickledTensor, torchFile } from "../../support/torch-file.ts";
import type { ZipPart } from "../../support/zip-file.ts";

const GOLDEN = new URL("../../golden/torch-archive/", import.meta.url);
const FLAT = golden("flat.bin");
const OUTSIDE = 2 ** 40;

const STORAGE = { name: "archive/data/0", bytes: new Uint8Array(24) };
const withPart = (part: Partial<ZipPart>): Uint8Array =>
  torchFile(oneTensor(), { parts: [{ ...STORAGE, ...part }] });
const tensor = (...parameters: Parameters<typeof oneTensor>): Uint8Array =>
  torchFile(oneTensor(...parameters));
const code = (...bytes: number[]): Uint8Array => torchFile(Uint8Array.of(0x80, 2, ...bytes, 0x2e));
const item = (value: Uint8Array): Uint8Array =>
  torchFile(pickle.whole(pickle.dict([pickle.text("w"), value])));

describe("readTorchArchive of a hostile file", () => {
  test.each([
    ["an empty file", new Uint8Array(0)],
    ["two bytes", Uint8Array.of(0x50, 0x4b)],
    ["a page", new TextEncoder().encode("PK <html>")],
    ["an archive that is cut", tensor().slice(0, -1)],
    ["an archive that is cut in the middle", FLAT.subarray(0, FLAT.length / 2)],
    ["bytes behind the archive", concatenated([tensor(), new Uint8Array(8)])],
    ["a compressed entry", withPart({ method: 8 })],
    ["an encrypted entry", withPart({ flags: 1 })],
    ["an entry that claims more than it has", withPart({ claims: 4096 })],
    ["an entry that claims less", withPart({ claims: 4 })],
    [
      "an entry of 2^53 bytes",
      torchFile(oneTensor(), { isWide: true, parts: [{ ...STORAGE, claims: 2 ** 53 }] }),
    ],
    ["an entry outside of the file", withPart({ header: OUTSIDE })],
    ["an entry on top of another", withPart({ header: 0 })],
    ["an entry in the middle of another", withPart({ header: 90 })],
    ["two entries of one name", torchFile(oneTensor(), { parts: [STORAGE, STORAGE] })],
    ["no storage", torchFile(oneTensor(), { parts: [] })],
    [
      "two pickles",
      torchFile(oneTensor(), {
        parts: [STORAGE, { name: "b/data.pkl", bytes: new Uint8Array(4) }],
      }),
    ],
    [
      "big-endian numbers",
      torchFile(oneTensor(), {
        parts: [STORAGE, { name: "archive/byteorder", bytes: new TextEncoder().encode("big") }],
      }),
    ],
    ["more entries than listed", torchFile(oneTensor(), { count: 4 })],
    ["60 000 entries", torchFile(oneTensor(), { count: 60_000 })],
    ["2^53 entries", torchFile(oneTensor(), { count: 2 ** 53, isWide: true })],
    ["a directory outside of the file", torchFile(oneTensor(), { directoryStart: 2 ** 31 })],
    ["a directory beyond 2^53", torchFile(oneTensor(), { directoryStart: 2 ** 60, isWide: true })],
    ["a directory that is too long", torchFile(oneTensor(), { directoryBytes: 10_000 })],
    ["an empty directory", torchFile(oneTensor(), { directoryBytes: 0, isWide: true })],
  ])("refuses %s", async (_, bytes) => {
    await expectInvalid(bytes);
  });

  test.each([
    ["a negative offset", tensor({ offset: -1 })],
    ["an offset beyond the storage", tensor({ offset: 1 })],
    ["an offset of 2^60", tensor({ offset: 2 ** 60 })],
    ["a negative dimension", tensor({ shape: [-2, -3] })],
    ["a dimension of 2^62", tensor({ shape: [2 ** 62, 1], strides: [0, 1] })],
    ["a shape beyond the storage", tensor({ shape: [3, 3] })],
    ["strides beyond the storage", tensor({ strides: [4, 1] })],
    ["negative strides", tensor({ strides: [-3, 1] })],
    ["fewer strides than dimensions", tensor({ strides: [1] })],
    [
      "17 dimensions",
      tensor({ shape: Array<number>(17).fill(1), strides: Array<number>(17).fill(1) }),
    ],
    ["a storage of another size", tensor({ elements: 7 })],
    ["a storage of 2^53 elements", tensor({ elements: 2 ** 53 })],
    ["a storage with a negative size", tensor({ elements: -6 })],
    ["a storage that is not there", tensor({ key: "1" })],
    ["a storage outside of the folder", tensor({ key: "../data.pkl" })],
    ["a storage called __proto__", tensor({ key: "__proto__" })],
    ["a storage of an unknown type", tensor({ storage: "ComplexFloatStorage" })],
    ["a storage type called constructor", tensor({ storage: "constructor" })],
    ["a storage of another type", tensor({ storage: "HalfStorage" })],
    [
      "a tensor called __proto__",
      torchFile(pickle.whole(pickle.dict([pickle.text("__proto__"), pickledTensor()]))),
    ],
  ])("refuses a tensor with %s", async (_, bytes) => {
    await expectInvalid(bytes);
  });

  test.each([
    ["os.system", pickle.call(pickle.global("os", "system"), pickle.text("true"))],
    ["posix.system", pickle.global("posix", "system")],
    ["builtins.eval", pickle.call(pickle.global("builtins", "eval"), pickle.text("1"))],
    ["builtins.getattr", pickle.global("builtins", "getattr")],
    ["torch.load", pickle.global("torch", "load")],
    ["torch.hub.load", pickle.global("torch.hub", "load")],
    ["a global called __proto__", pickle.global("__proto__", "__proto__")],
    ["a global with no name", pickle.global("", "")],
    ["a global of 70 000 characters", pickle.global("a".repeat(70_000), "b")],
    ["a call of a type", pickle.call(pickle.global("torch", "FloatStorage"))],
    ["a call of a number", pickle.call(pickle.integer(1))],
    ["a wrapper of a wrapper", wrappedTwice()],
  ])("refuses %s", async (_, value) => {
    await expectInvalid(item(value));
  });

  test.each([
    ["nothing", []],
    ["only a number", [0x4b, 1]],
    ["an unknown operation", [0xff]],
    ["INST, which imports", [0x69]],
    ["OBJ, which imports", [0x28, 0x6f]],
    ["EXT1, which imports", [0x82, 1]],
    ["a mark that is never closed", [0x28, 0x28]],
    ["a tuple without a mark", [0x74]],
    ["a memo that was never written", [0x68, 7]],
    ["a list without an item", [0x5d, 0x61]],
    ["items for a number", [0x4b, 1, 0x28, 0x4b, 1, 0x4b, 1, 0x75]],
    ["a dictionary with half an item", [0x7d, 0x28, 0x4b, 1, 0x75]],
    ["a text of 4 GB", [0x58, 255, 255, 255, 255]],
    ["a text of 2^63 bytes", [0x8d, 0, 0, 0, 0, 0, 0, 0, 128]],
    ["bytes of 4 GB", [0x42, 255, 255, 255, 255]],
    ["an integer of 255 bytes", [0x8a, 255]],
    ["an object from outside", [0x4b, 1, 0x51]],
    ["a text that pops through a mark", [0x7d, 0x28, 0x52]],
  ])("refuses a pickle of %s", async (_, bytes) => {
    await expectInvalid(code(...bytes));
  });

  test("is not impressed by depth", async () => {
    const deep = 400_000;
    const lists = new Uint8Array(2 * deep).fill(0x5d, 0, deep).fill(0x61, deep, 2 * deep - 1);
    await expectInvalid(
      torchFile(concatenated([Uint8Array.of(0x80, 2), lists, Uint8Array.of(0x2e)])),
    );
    const tuples = new Uint8Array(deep).fill(0x85);
    await expectInvalid(
      torchFile(concatenated([Uint8Array.of(0x80, 2, 0x4e), tuples, Uint8Array.of(0x2e)])),
    );
  });

  test("reads a dictionary that holds itself", async () => {
    // {} memo 0, then item "self" -> itself and "w" -> a tensor
    const value = concatenated([
      Uint8Array.of(0x7d, 0x71, 0, 0x28),
      pickle.text("state_dict"),
      Uint8Array.of(0x68, 0),
      pickle.text("w"),
      pickledTensor(),
      Uint8Array.of(0x75),
    ]);
    expect([...(await read(torchFile(pickle.whole(value)))).keys()]).toEqual(["w"]);
  });

  test("stays typed and quick under mutations", { timeout: 120_000 }, async () => {
    const random = mulberry(7);
    const seeds = [FLAT, golden("training.ckpt"), torchFile(oneTensor(), { isWide: true })];
    let survivors = 0;
    for (let round = 0; round < 4000; round++) {
      const bytes = mutate(seeds[round % seeds.length] ?? FLAT, random);
      const started = performance.now();
      try {
        const tensors = await read(bytes);
        for (const entry of tensors.values()) expect(isInside(entry, bytes.length)).toBe(true);
        survivors++;
      } catch (error) {
        if (!isInvalid(error)) throw error;
      }
      expect(performance.now() - started).toBeLessThan(2000);
    }
    expect(survivors).toBeGreaterThan(100); // mutations of padding and numbers change nothing here
  });
});

// A call of the function that calls functions, with itself.
function wrappedTwice(): Uint8Array {
  const target = pickle.global("torch._tensor", "_rebuild_from_type_v2");
  return pickle.call(
    target,
    target,
    Uint8Array.of(0x4e),
    pickle.tuple(target),
    Uint8Array.of(0x4e),
  );
}

function golden(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(name, GOLDEN)));
}

function read(bytes: Uint8Array): Promise<Map<string, TensorEntry>> {
  const file = new File([new Uint8Array(bytes)], "m.bin");
  const source = createFileSource({ name: "m", files: new Map([["m.bin", file]]) });
  return readTorchArchive(source, "m.bin");
}

async function expectInvalid(bytes: Uint8Array): Promise<void> {
  const error = await read(bytes).then(
    () => "it was read",
    (reason: unknown) => reason,
  );
  expect(isInvalid(error), String(error)).toBe(true);
}

function isInvalid(error: unknown): boolean {
  return ModelError.isModelError(error) && error.code === "checkpoint-invalid";
}

function isInside({ start, end, fault }: TensorEntry, size: number): boolean {
  return fault !== undefined || (start >= 0 && start <= end && end <= size);
}

function mutate(seed: Uint8Array, random: () => number): Uint8Array {
  const bytes = new Uint8Array(seed);
  const pick = (count: number): number => Math.floor(random() * count);
  const kind = pick(5);
  if (kind === 0) return bytes.slice(0, pick(bytes.length));
  if (kind === 1)
    return concatenated([
      bytes.subarray(0, pick(bytes.length)),
      bytes.subarray(pick(bytes.length)),
    ]);
  const changes = 1 + pick(6);
  for (let i = 0; i < changes; i++) {
    const at = pick(bytes.length);
    if (kind === 2) bytes[at] = pick(256);
    else if (kind === 3) bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
    else bytes.fill(255, at, Math.min(bytes.length, at + 8));
  }
  return bytes;
}

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
