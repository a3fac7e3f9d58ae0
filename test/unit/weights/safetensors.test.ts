import { describe, expect, test } from "vitest";

import { ModelError } from "../../../src/base/errors.ts";
import { createFileSource } from "../../../src/weights/file-source.ts";
import { parseSafetensorsHeader, readSafetensors } from "../../../src/weights/safetensors.ts";
import { safetensorsFile, withHeader } from "../../support/tiny-checkpoint.ts";

const F32 = (begin: number, end: number, shape: number[]): string =>
  JSON.stringify({ dtype: "F32", shape, data_offsets: [begin, end] });
const DATA = [new Uint8Array(32)];

describe("readSafetensors", () => {
  test("finds tensors of every known type, also empty ones and scalars", async () => {
    const header = `{"__metadata__":{"format":"pt"},"a":${F32(0, 24, [2, 3])},"empty":${F32(24, 24, [0, 4])},"scalar":${F32(24, 28, [])},"f8":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[28,32]}}`;
    const tensors = await read(withHeader(header, DATA));
    expect([...tensors.keys()]).toEqual(["a", "empty", "scalar", "f8"]);
    const start = 8 + header.length;
    expect(tensors.get("a")).toEqual({
      file: "m.safetensors",
      dtype: "F32",
      shape: [2, 3],
      start,
      end: start + 24,
    });
  });

  test("reads a header longer than the first request", async () => {
    const tensors = Object.fromEntries(
      Array.from({ length: 4000 }, (_, i) => [
        `layer.${i}.weight`,
        { dtype: "F32" as const, shape: [1], values: [i] },
      ]),
    );
    expect((await read(safetensorsFile(tensors))).size).toBe(4000);
  });

  test.each([
    ["an empty file", new Uint8Array(0)],
    ["a file too short for a length", new Uint8Array(7)],
    ["a header longer than the file", withHeader("{}", [], 1000n)],
    ["an absurd header length", withHeader("{}", [], 2n ** 63n)],
    ["a header beyond the format's cap", withHeader("{}", [], 100_000_001n)],
    ["a header of no bytes", withHeader("", DATA)],
    ["a header that is cut", withHeader(`{"a":${F32(0, 32, [8])}`, DATA)],
    ["a header that is no object", withHeader("[1]", DATA)],
    ["a header that is no UTF-8", withLatin1('{"\u00ff":1}')],
    ["a missing dtype", withHeader('{"a":{"shape":[8],"data_offsets":[0,32]}}', DATA)],
    ["an unknown dtype", withHeader(`{"a":${F32(0, 32, [8]).replace("F32", "F33")}}`, DATA)],
    ["dtype toString", withHeader(`{"a":${F32(0, 32, [8]).replace("F32", "toString")}}`, DATA)],
    ["a negative dimension", withHeader(`{"a":${F32(0, 32, [-8])}}`, DATA)],
    ["a dimension of 2^53", withHeader(`{"a":${F32(0, 32, [2 ** 53])}}`, DATA)],
    ["a dimension of 1.5", withHeader(`{"a":${F32(0, 32, [1.5])}}`, DATA)],
    ["a product beyond 2^53", withHeader(`{"a":${F32(0, 32, [2 ** 30, 2 ** 30])}}`, DATA)],
    ["too many dimensions", withHeader(`{"a":${F32(0, 4, Array(17).fill(1) as number[])}}`, DATA)],
    ["a shape that needs more bytes", withHeader(`{"a":${F32(0, 32, [9])}}`, DATA)],
    ["offsets the wrong way round", withHeader(`{"a":${F32(32, 0, [8])}}`, DATA)],
    ["a negative offset", withHeader(`{"a":${F32(-4, 28, [8])}}`, DATA)],
    [
      "three offsets",
      withHeader('{"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32,1]}}', DATA),
    ],
    [
      "offsets as texts",
      withHeader('{"a":{"dtype":"U8","shape":[2],"data_offsets":["0","2"]}}', DATA),
    ],
    ["offsets beyond the file", withHeader(`{"a":${F32(0, 4096, [1024])}}`, DATA)],
    ["an overlap", withHeader(`{"a":${F32(0, 32, [8])},"b":${F32(16, 32, [4])}}`, DATA)],
    ["a gap", withHeader(`{"a":${F32(0, 8, [2])},"b":${F32(16, 32, [4])}}`, DATA)],
    ["a gap at the beginning", withHeader(`{"a":${F32(8, 32, [6])}}`, DATA)],
    ["bytes behind the last tensor", withHeader(`{"a":${F32(0, 16, [4])}}`, DATA)],
    [
      "a name that comes twice",
      withHeader(`{"a":${F32(0, 32, [8])},"a":${F32(0, 32, [8])}}`, DATA),
    ],
    [
      "the same with an escape",
      withHeader(`{"a":${F32(0, 32, [8])},"\\u0061":${F32(0, 32, [8])}}`, DATA),
    ],
    ["a tensor called __proto__", withHeader(`{"__proto__":${F32(0, 32, [8])}}`, DATA)],
    [
      "metadata that is no map of texts",
      withHeader(`{"__metadata__":{"a":[1]},"a":${F32(0, 32, [8])}}`, DATA),
    ],
    ["a tensor that is a list", withHeader('{"a":[]}', DATA)],
    ["nesting without end", withHeader("[".repeat(5000) + "]".repeat(5000), DATA)],
  ])("refuses %s", async (_, file) => {
    await expect(read(file)).rejects.toMatchObject({ code: "checkpoint-invalid" });
  });

  test("20 000 mutated headers are read or refused, nothing else", () => {
    const header = `{"__metadata__":{"format":"pt"},"a.weight":${F32(0, 24, [2, 3])},"b":${F32(24, 32, [2])}}`;
    const random = lcg(1);
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = new TextEncoder().encode(header);
      const edits = 1 + Math.floor(random() * 3);
      for (let edit = 0; edit < edits; edit++) {
        const alphabet = '{}[]",:0123456789-eE.\\u_F\u0000';
        const letter = alphabet.charCodeAt(Math.floor(random() * alphabet.length));
        bytes[Math.floor(random() * bytes.length)] = random() < 0.7 ? letter : random() * 256;
      }
      accepted += isAccepted(bytes, 8 + bytes.length + 32) ? 1 : 0;
    }
    expect(accepted).toBeGreaterThan(100); // Names may change; the rest may not.
    expect(accepted).toBeLessThan(10_000);
  });
});

// Every accepted header describes exactly the file; every other one is refused by its own error.
function isAccepted(header: Uint8Array, size: number): boolean {
  try {
    const tensors = parseSafetensorsHeader(header, { file: "m", size });
    const bytes = [...tensors.values()].reduce((sum, { start, end }) => sum + end - start, 0);
    expect(bytes).toBe(32);
    return true;
  } catch (error) {
    if (!ModelError.isModelError(error)) throw error;
    expect(error.code).toBe("checkpoint-invalid");
    return false;
  }
}

async function read(bytes: Uint8Array<ArrayBuffer>) {
  const files = new Map([["m.safetensors", new File([bytes], "m.safetensors")]]);
  return readSafetensors(createFileSource({ name: "m", files }), "m.safetensors");
}

function withLatin1(header: string): Uint8Array<ArrayBuffer> {
  const file = withHeader(header, DATA, BigInt(header.length));
  return Uint8Array.from([...file.subarray(0, 8), ...header.split("").map((c) => c.charCodeAt(0))]);
}

function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
