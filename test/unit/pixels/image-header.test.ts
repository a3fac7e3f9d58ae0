import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { isMarkup, readImageHeader } from "../../../src/pixels/image-header.ts";
import { box, fileType, sequenceBox, stillBox, wideBox } from "../../support/avif-file.ts";
import golden from "../../golden/images/images.json" with { type: "json" };

const FORMATS: Readonly<Record<string, string>> = { jpg: "jpeg" };
const DAMAGED_PER_FILE = 700;

function file(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../golden/images/${name}`, import.meta.url)));
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}

/** The same damage every time: a linear congruential sequence. */
function damage(bytes: Uint8Array, seed: number): Uint8Array {
  let state = seed + 1;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  const damaged = bytes.slice(0, next(4) === 0 ? next(bytes.length) : bytes.length);
  for (let i = next(12); i >= 0; i--) damaged[next(Math.max(1, damaged.length))] = next(256);
  return damaged;
}

describe("readImageHeader", () => {
  test.each(golden.images)("reads $name", ({ name, width, height }) => {
    const ending = name.split(".")[1] ?? "";
    // the size before EXIF turns the picture
    const size = name === "rotated.jpg" ? { width: height, height: width } : { width, height };
    expect(readImageHeader(file(name))).toEqual({ format: FORMATS[ending] ?? ending, ...size });
  });

  test.each([
    ["nothing", []],
    ["text", ascii("hello, world, this is no image")],
    ["SVG", ascii("<svg xmlns='http://www.w3.org/2000/svg'/>")],
    ["TIFF", ascii("II*\0\x08\0\0\0")],
    ["a HEIC file", [0, 0, 0, 16, ...ascii("ftypheic\0\0\0\0")]],
    ["an MP4 film", [0, 0, 0, 16, ...ascii("ftypisom\0\0\0\0")]],
  ])("knows nothing of %s", (_name, bytes) => {
    expect(readImageHeader(Uint8Array.from(bytes))).toBeUndefined();
  });

  test("tells the size that a lying file claims", () => {
    const bytes = file("plain.png").slice();
    bytes.set([0x7f, 0xff, 0xff, 0xff], 16);
    expect(readImageHeader(bytes)).toMatchObject({ width: 0x7fffffff });
  });

  test("counts a GIF's first frame where it is larger than its screen", () => {
    const bytes = file("plain.gif").slice();
    bytes.set([1, 0, 1, 0], 6);
    expect(readImageHeader(bytes)).toEqual({ format: "gif", width: 21, height: 13 });
  });

  test("takes the absolute height of a BMP with rows from top to bottom", () => {
    const bytes = file("plain.bmp").slice();
    new DataView(bytes.buffer).setInt32(22, -13, true);
    expect(readImageHeader(bytes)).toMatchObject({ width: 21, height: 13 });
  });

  test("has no size for a file that is cut before it", () => {
    for (const { name } of golden.images) {
      const header = readImageHeader(file(name).subarray(0, 6));
      expect((header?.width ?? 0) * (header?.height ?? 0), name).toBe(0);
    }
  });

  test("never throws and never hangs on damaged files", () => {
    for (const { name } of golden.images) {
      const bytes = file(name);
      for (let seed = 0; seed < DAMAGED_PER_FILE; seed++) {
        const header = readImageHeader(damage(bytes, seed));
        expect(Number.isInteger(header?.width ?? 0)).toBe(true);
      }
    }
  });

  test("ends on boxes inside boxes and on endless extensions", () => {
    const brand = [0, 0, 0, 16, ...ascii("ftypavif\0\0\0\0")];
    const nested = Array.from({ length: 100_000 }, () => [0, 0, 0, 0, ...ascii("iprp")]).flat();
    expect(readImageHeader(Uint8Array.from([...brand, ...nested]))).toMatchObject({ width: 0 });
    const extensions = Array.from({ length: 100_000 }, () => [0x21, 0xf9, 0]).flat();
    const screen = [...ascii("GIF89a"), 1, 0, 1, 0, 0, 0, 0];
    expect(readImageHeader(Uint8Array.from([...screen, ...extensions]))).toMatchObject({
      width: 1,
    });
  });
});

describe("readImageHeader of AVIF", () => {
  const small = { width: 16, height: 16 };
  const large = { width: 40_000, height: 30_000 };
  const read = (...boxes: (readonly number[])[]) => readImageHeader(Uint8Array.from(boxes.flat()));
  const sequence = fileType("avis", "avif");

  test.each([
    ["its track's header", sequenceBox(large, small)],
    ["its track's header of 64 bits", sequenceBox(large, small, 1)],
    ["the format of its frames", sequenceBox(small, large)],
  ])("a sequence is as large as %s says", (_name, track) => {
    expect(read(sequence, stillBox(small), track)).toMatchObject(large);
    expect(read(sequence, track)).toMatchObject(large);
    // a decoder may take the track of a file that is called a picture
    expect(read(fileType("avif"), stillBox(small), track)).toMatchObject(large);
  });

  test("is read behind boxes whose length takes eight bytes", () => {
    const gap = wideBox("free", [1, 2, 3]);
    expect(read(sequence, gap, stillBox(large))).toMatchObject(large);
    const moov = sequenceBox(large, large).slice(8);
    expect(read(sequence, stillBox(small), wideBox("moov", moov))).toMatchObject(large);
  });

  test("has no size where it hides among more boxes than are looked at", () => {
    const gaps = Array.from({ length: 1000 }, () => box("free")).flat();
    expect(read(sequence, stillBox(small), gaps, sequenceBox(large, large))).toMatchObject({
      width: 0,
      height: 0,
    });
  });
});

describe("readImageHeader of JPEG", () => {
  const frame = (width: number): number[] => [0xff, 0xc0, 0, 11, 8, 0, 9, 0, width, 1, 1, 0x11, 0];
  const read = (...segments: (readonly number[])[]) =>
    readImageHeader(Uint8Array.from([0xff, 0xd8, ...segments.flat(), 0, 0]));

  test.each([0x00, 0x02, 0xbf])(
    "passes over no segment of marker ff %i, as decoders do",
    (marker) => {
      const hidden = frame(200);
      expect(read(frame(7))).toMatchObject({ width: 7, height: 9 });
      const comment = [0xff, 0xfe, 0, hidden.length + 2, ...hidden];
      expect(read(comment, frame(7))).toMatchObject({ width: 7 });
      expect(read([0xff, marker, ...comment.slice(2)], frame(7))).toMatchObject({ width: 0 });
    },
  );
});

describe("isMarkup", () => {
  test.each([
    ["<svg/>", true],
    [" \n<?xml version='1.0'?><svg/>", true],
    ["\uFEFF<SVG/>", true],
    ["<!-- a picture --><svg/>", true],
    ["hello", false],
  ])("of %j is %s", (text, expected) => {
    expect(isMarkup(new TextEncoder().encode(text))).toBe(expected);
  });
});
