import { inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";

import type { Pixels } from "../../../src/base/pixels.ts";
import { encodePng } from "../../../src/pixels/encode-png.ts";
import { isPng, pngChunk, pngChunks } from "../../../src/pixels/png-chunk.ts";
import { pngTextChunk, readPngTexts } from "../../../src/pixels/png-text.ts";

const TEXTS = {
  prompt: "a red fox, 狐, 🦊, line\nline",
  seed: "-9007199254740991",
  Software: "web-umm 0.1.0",
};

function noise(width: number, height: number, alpha?: number): Pixels {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < data.length; i++) data[i] = i % 4 === 3 && alpha ? alpha : (i * 7919) % 251;
  return { width, height, data };
}

function types(bytes: Uint8Array): string[] {
  return [...pngChunks(bytes)].map(({ type }) => type);
}

/** Decodes what encodePng writes: Paeth rows of 3 or 4 channels. */
function decode(bytes: Uint8Array, { width, height }: Pixels): Uint8ClampedArray {
  const chunks = [...pngChunks(bytes)];
  const channels = chunks[0]?.data[9] === 2 ? 3 : 4;
  const packed = chunks.find(({ type }) => type === "IDAT")?.data ?? new Uint8Array();
  const rows = inflateSync(packed);
  const rowBytes = width * channels;
  const at = (y: number, i: number): number => (y < 0 || i < 0 ? 0 : (raw[y * rowBytes + i] ?? 0));
  const raw = new Uint8Array(rowBytes * height);
  for (let y = 0; y < height; y++) {
    expect(rows[y * (rowBytes + 1)]).toBe(4);
    for (let i = 0; i < rowBytes; i++) {
      const neighbours = [at(y, i - channels), at(y - 1, i), at(y - 1, i - channels)] as const;
      const guess = neighbours[0] + neighbours[1] - neighbours[2];
      const distances = neighbours.map((value) => Math.abs(guess - value));
      const nearest = neighbours[distances.indexOf(Math.min(...distances))] ?? 0;
      raw[y * rowBytes + i] = (rows[y * (rowBytes + 1) + 1 + i] ?? 0) + nearest;
    }
  }
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let p = 0; p < width * height; p++) {
    rgba.set(raw.subarray(p * channels, (p + 1) * channels), p * 4);
  }
  return rgba;
}

describe("encodePng", () => {
  test("keeps every byte of an opaque picture, without an alpha channel", async () => {
    const pixels = noise(37, 11, 255);
    const bytes = await encodePng(pixels);
    expect(isPng(bytes)).toBe(true);
    expect(types(bytes)).toEqual(["IHDR", "sRGB", "IDAT", "IEND"]);
    expect(decode(bytes, pixels)).toEqual(pixels.data);
  });

  test("keeps colours under transparency", async () => {
    const pixels = noise(5, 9);
    expect(decode(await encodePng(pixels), pixels)).toEqual(pixels.data);
  });

  test("carries texts that can be read again", async () => {
    const bytes = await encodePng(noise(2, 2, 255), TEXTS);
    expect(Object.fromEntries(readPngTexts(bytes))).toEqual(TEXTS);
  });

  test("compresses what is smooth", async () => {
    const width = 64;
    const data = new Uint8ClampedArray(width * width * 4).map((_, i) =>
      i % 4 === 3 ? 255 : (i >> 2) % width,
    );
    expect((await encodePng({ width, height: width, data })).length).toBeLessThan(500);
  });
});

describe("readPngTexts", () => {
  test("is empty for bytes that are no PNG", () => {
    expect(readPngTexts(new Uint8Array(100)).size).toBe(0);
    expect(readPngTexts(new Uint8Array()).size).toBe(0);
  });

  test("stops at a damaged chunk and at every cut, without an error", async () => {
    const bytes = await encodePng(noise(2, 2, 255), TEXTS);
    for (let length = 0; length < bytes.length; length++) {
      const texts = readPngTexts(bytes.subarray(0, length));
      for (const [keyword, text] of texts) expect(TEXTS).toHaveProperty(keyword, text);
    }
    const damaged = bytes.slice();
    damaged[60] = (damaged[60] ?? 0) ^ 1;
    expect(readPngTexts(damaged).size).toBe(0);
  });

  test("reads tEXt, and of one keyword the first", () => {
    const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
    const encoder = new TextEncoder();
    const parts = [
      signature,
      pngChunk("tEXt", encoder.encode("Title\0one")),
      pngTextChunk("Title", "two"),
      pngChunk("tEXt", encoder.encode("no separator")),
      pngChunk("iTXt", encoder.encode("cut\0\0\0")),
    ];
    const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
    expect([...readPngTexts(bytes)]).toEqual([["Title", "one"]]);
  });
});

describe("pngTextChunk", () => {
  test("replaces what the format forbids", () => {
    const chunk = pngTextChunk("prompt", "a\0b");
    expect(new TextDecoder().decode(chunk)).toContain("a\uFFFDb");
  });

  test.each(["", " a", "a ", "ä", "a\0", "a".repeat(80)])("refuses the keyword %j", (keyword) => {
    expect(() => pngTextChunk(keyword, "")).toThrow("keyword");
  });
});

describe("pngChunk", () => {
  test("has the checksum of the specification", () => {
    // the IEND chunk that every PNG file ends with
    expect([...pngChunk("IEND", new Uint8Array())]).toEqual([
      0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
    ]);
  });
});
